//! Finding a batch by offset or by time.

use super::{BatchHeader, HEADER_BYTES, Log, Segment, records};
use crate::error::StorageError;

/// A batch in a segment.
#[derive(Debug)]
pub struct Found {
    /// Where it begins in the file.
    pub position: u64,
    /// Its header.
    pub header: BatchHeader,
}

/// The batch that holds `offset`.
pub fn batch_of(segment: &Segment, offset: i64) -> Result<Option<Found>, StorageError> {
    first_batch(segment, segment.position_before(offset), |header| {
        header.last_offset() >= offset
    })
}

/// The first batch from `position` on that is wanted.
fn first_batch(
    segment: &Segment,
    mut position: u64,
    wanted: impl Fn(&BatchHeader) -> bool,
) -> Result<Option<Found>, StorageError> {
    const WINDOW: usize = 16 << 10;
    while position < segment.size {
        let window = segment.read(position, WINDOW)?;
        let mut at = 0;
        while let Ok(header) = BatchHeader::parse(&window[at.min(window.len())..]) {
            if wanted(&header) {
                return Ok(Some(Found {
                    position: position + at as u64,
                    header,
                }));
            }
            at += header.size;
        }
        if at == 0 {
            return Ok(None);
        }
        position += at as u64;
    }
    Ok(None)
}

/// How many bytes of `bytes` are whole batches, up to `limit`.
pub fn whole_batches(bytes: &[u8], limit: usize) -> usize {
    let mut whole = 0;
    while let Some(rest) = bytes.get(whole..).filter(|rest| rest.len() >= HEADER_BYTES) {
        match BatchHeader::parse(rest) {
            Ok(header) if header.size <= rest.len() && whole + header.size <= limit => whole += header.size,
            _ => break,
        }
    }
    whole
}

impl Log {
    /// Offset and timestamp of the first record that is not older than `timestamp` (ms since 1970). In a
    /// compressed batch this is the batch's first record: clients skip what is too old.
    pub fn find_time(&self, timestamp: i64) -> Result<Option<(i64, i64)>, StorageError> {
        for segment in self
            .segments
            .iter()
            .filter(|segment| segment.max_timestamp >= timestamp)
        {
            let young = |h: &BatchHeader| h.max_timestamp >= timestamp && h.last_offset() >= self.start;
            if let Some(found) = first_batch(segment, 0, young)? {
                return self.record_of(segment, &found, timestamp).map(Some);
            }
        }
        Ok(None)
    }

    /// Offset and timestamp of the record with the newest timestamp.
    pub fn find_newest(&self) -> Result<Option<(i64, i64)>, StorageError> {
        let newest = self
            .segments
            .iter()
            .map(|segment| segment.max_timestamp)
            .max()
            .unwrap_or(-1);
        if newest < 0 { Ok(None) } else { self.find_time(newest) }
    }

    fn record_of(&self, segment: &Segment, found: &Found, timestamp: i64) -> Result<(i64, i64), StorageError> {
        let header = &found.header;
        let batch = segment.read(found.position, header.size)?;
        let place = records::places(&batch, header)
            .unwrap_or_default()
            .into_iter()
            .find(|place| place.timestamp >= timestamp && header.base_offset + i64::from(place.delta) >= self.start);
        Ok(match place {
            Some(place) => (header.base_offset + i64::from(place.delta), place.timestamp),
            None => (header.base_offset.max(self.start), header.base_timestamp),
        })
    }
}
