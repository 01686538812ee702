//! The log of one partition: appends, reads, lookups by time, retention.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::batch::{BatchError, BatchHeader, HEADER_BYTES, check_records, record_positions};
use super::producers::{Producers, SequenceCheck};
use super::recovery;
use super::segment::{FoundBatch, Segment};
use crate::config::Retention;
use crate::error::StorageError;
use crate::files;

/// Limits of a log.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings {
    /// Size in bytes at which the log rolls to a new segment.
    pub segment_bytes: u64,
    /// Maximum batch size in bytes.
    pub max_batch: usize,
    /// Maximum number of idempotent producers tracked.
    pub producers: usize,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The batch is invalid.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The batch is larger than `max_batch`.
    #[error("batch of {0} bytes is too large")]
    TooLarge(usize),
    /// More than one batch, or none.
    #[error("expected exactly one batch per partition")]
    NotOneBatch,
    /// The batch is transactional or a control batch.
    #[error("transactional and control batches are not supported")]
    Transactional,
    /// A preceding batch of the producer is missing.
    #[error("sequence number is out of order")]
    OutOfOrder,
    /// The producer has written with a newer epoch.
    #[error("producer epoch is outdated")]
    Fenced,
    /// The file cannot be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// An appended batch.
#[derive(Debug)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: i64,
    /// The file it was written to; `None` for a duplicate.
    pub file: Option<Arc<File>>,
}

/// The log of one partition.
#[derive(Debug)]
pub struct PartitionLog {
    folder: PathBuf,
    /// In order of offsets; the last one is appended to.
    segments: Vec<Segment>,
    start: i64,
    end: i64,
    producers: Producers,
    settings: LogSettings,
    dirty: bool,
}

impl PartitionLog {
    /// Loads the log in a directory, which is created if missing; truncates a damaged tail.
    pub fn open(folder: &Path, settings: LogSettings) -> Result<Self, StorageError> {
        fs::create_dir_all(folder).map_err(StorageError::at("create", folder))?;
        let mut producers = Producers::new(settings.producers);
        let segments = recovery::load(folder, &mut producers)?;
        let first = segments.first().map_or(0, |segment| segment.base);
        let start = files::read_number(&folder.join("start"))?.unwrap_or(0).max(first);
        let mut log = PartitionLog {
            folder: folder.to_owned(),
            segments,
            start,
            end: 0,
            producers,
            settings,
            dirty: false,
        };
        log.end = log.find_end()?;
        log.start = log.start.min(log.end);
        Ok(log)
    }

    fn find_end(&self) -> Result<i64, StorageError> {
        let Some(last) = self.segments.last() else {
            return Ok(0);
        };
        let mut end = last.base;
        let mut position = last.position_before(i64::MAX);
        while position < last.size {
            let Ok(header) = BatchHeader::parse(&last.read(position, HEADER_BYTES)?) else {
                break;
            };
            end = header.last_offset() + 1;
            position += header.size as u64;
        }
        Ok(end)
    }

    /// Log start offset: the first readable offset.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Log end offset: the offset of the next record. On a single node this is also the high watermark.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Size of all segments in bytes.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Appends the batch of a produce request, unless it is a duplicate.
    pub fn append(&mut self, records: &[u8]) -> Result<Appended, AppendError> {
        let mut header = BatchHeader::verify(records)?;
        self.check_batch(records, &header)?;
        match self.producers.check(&header) {
            SequenceCheck::Append => {}
            SequenceCheck::Duplicate(base_offset) => {
                return Ok(Appended {
                    base_offset,
                    file: None,
                });
            }
            SequenceCheck::OutOfOrder => return Err(AppendError::OutOfOrder),
            SequenceCheck::Fenced => return Err(AppendError::Fenced),
        }
        header.base_offset = self.end;
        // The broker sets the base offset and the leader epoch; the checksum does not cover them.
        let mut batch = records.to_vec();
        batch[..8].copy_from_slice(&self.end.to_be_bytes());
        batch[12..16].copy_from_slice(&0i32.to_be_bytes());
        let file = self.active_segment(header.size)?.append(&batch, &header)?;
        self.producers.record(&header);
        self.end = header.last_offset() + 1;
        self.dirty = true;
        Ok(Appended {
            base_offset: header.base_offset,
            file: Some(file),
        })
    }

    fn check_batch(&self, records: &[u8], header: &BatchHeader) -> Result<(), AppendError> {
        if header.size > self.settings.max_batch {
            return Err(AppendError::TooLarge(header.size));
        }
        if header.size != records.len() {
            return Err(AppendError::NotOneBatch);
        }
        if header.transactional() {
            return Err(AppendError::Transactional);
        }
        Ok(check_records(records, header)?)
    }

    /// The segment to append a batch of `size` bytes to.
    fn active_segment(&mut self, size: usize) -> Result<&mut Segment, StorageError> {
        let full = |s: &Segment| s.size > 0 && s.size + size as u64 > self.settings.segment_bytes;
        if self.segments.last().is_none_or(full) {
            self.roll()?;
        }
        let last = self.segments.len() - 1;
        Ok(&mut self.segments[last])
    }

    /// Closes the last segment and starts a new one at the log end offset.
    fn roll(&mut self) -> Result<(), StorageError> {
        let mut segment = Segment::new(&self.folder, self.end);
        segment.file()?;
        if let Some(last) = self.segments.last_mut() {
            let file = last.file()?;
            file.sync_data().map_err(StorageError::at("sync", &last.path))?;
            last.close();
        }
        self.segments.push(segment);
        Ok(())
    }

    /// Complete batches starting with the one that contains `offset`: at most `limit` bytes, but at least one batch
    /// if `at_least_one`. Empty at the log end and outside the log.
    pub fn read(&self, offset: i64, limit: usize, at_least_one: bool) -> Result<Bytes, StorageError> {
        if offset < self.start || offset >= self.end {
            return Ok(Bytes::new());
        }
        let at = self
            .segments
            .partition_point(|segment| segment.base <= offset)
            .saturating_sub(1);
        let segment = &self.segments[at];
        let Some(found) = segment.find_batch(offset)? else {
            return Ok(Bytes::new());
        };
        let mut bytes = segment.read(found.position, limit.max(HEADER_BYTES))?;
        let mut complete = complete_batches(&bytes, limit);
        if complete == 0 && at_least_one {
            bytes = segment.read(found.position, found.header.size)?;
            complete = bytes.len();
        }
        bytes.truncate(complete);
        Ok(Bytes::from(bytes))
    }

    /// The file with unsynced records, if any; the caller syncs it.
    pub fn take_dirty(&mut self) -> Result<Option<Arc<File>>, StorageError> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(None);
        }
        self.segments.last_mut().map(Segment::file).transpose()
    }

    /// Offset and timestamp of the first record at or after `timestamp` (ms since the Unix epoch). For a compressed
    /// batch this is its first record; clients skip the older records.
    pub fn find_timestamp(&self, timestamp: i64) -> Result<Option<(i64, i64)>, StorageError> {
        for segment in self
            .segments
            .iter()
            .filter(|segment| segment.max_timestamp >= timestamp)
        {
            let matches = |h: &BatchHeader| h.max_timestamp >= timestamp && h.last_offset() >= self.start;
            if let Some(found) = segment.first_batch(0, matches)? {
                return self.record_at(segment, &found, timestamp).map(Some);
            }
        }
        Ok(None)
    }

    /// Offset and timestamp of the record with the maximum timestamp.
    pub fn find_max_timestamp(&self) -> Result<Option<(i64, i64)>, StorageError> {
        let newest = self
            .segments
            .iter()
            .map(|segment| segment.max_timestamp)
            .max()
            .unwrap_or(-1);
        if newest < 0 {
            Ok(None)
        } else {
            self.find_timestamp(newest)
        }
    }

    fn record_at(&self, segment: &Segment, found: &FoundBatch, timestamp: i64) -> Result<(i64, i64), StorageError> {
        let header = &found.header;
        let batch = segment.read(found.position, header.size)?;
        let record = record_positions(&batch, header)
            .unwrap_or_default()
            .into_iter()
            .find(|record| record.timestamp >= timestamp && header.base_offset + i64::from(record.delta) >= self.start);
        Ok(match record {
            Some(record) => (header.base_offset + i64::from(record.delta), record.timestamp),
            None => (header.base_offset.max(self.start), header.base_timestamp),
        })
    }

    /// Deletes the segments that exceed `retention`; returns their number.
    pub fn apply_retention(&mut self, retention: &Retention, now: SystemTime) -> Result<usize, StorageError> {
        let oldest = retention
            .age
            .map(|age| millis(now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age)));
        let expired = |max: i64| oldest.is_some_and(|oldest| max < oldest);
        if self
            .segments
            .last()
            .is_some_and(|last| last.size > 0 && expired(last.max_timestamp))
        {
            self.roll()?;
        }
        let mut size = self.size();
        let mut deleted = 0;
        for pair in self.segments.windows(2) {
            let [segment, after] = pair else { break };
            let too_large = retention.bytes.is_some_and(|bytes| size - segment.size >= bytes);
            if !(too_large || expired(segment.max_timestamp) || after.base <= self.start) {
                break;
            }
            size -= segment.size;
            deleted += 1;
        }
        self.delete_first(deleted)?;
        Ok(deleted)
    }

    /// Deletes the records before `offset` (DeleteRecords).
    pub fn delete_before(&mut self, offset: i64) -> Result<(), StorageError> {
        self.start = self.start.max(offset.min(self.end));
        files::write_atomic(&self.folder.join("start"), self.start.to_string().as_bytes())?;
        let count = self
            .segments
            .windows(2)
            .take_while(|pair| pair[1].base <= self.start)
            .count();
        self.delete_first(count)
    }

    fn delete_first(&mut self, count: usize) -> Result<(), StorageError> {
        for segment in self.segments.drain(..count) {
            fs::remove_file(&segment.path).map_err(StorageError::at("delete", &segment.path))?;
        }
        self.start = self.start.max(self.segments.first().map_or(0, |first| first.base));
        Ok(())
    }
}

/// The size in bytes of the complete batches at the start of `bytes`, up to `limit`.
fn complete_batches(bytes: &[u8], limit: usize) -> usize {
    let mut complete = 0;
    while let Some(rest) = bytes.get(complete..).filter(|rest| rest.len() >= HEADER_BYTES) {
        match BatchHeader::parse(rest) {
            Ok(header) if header.size <= rest.len() && complete + header.size <= limit => complete += header.size,
            _ => break,
        }
    }
    complete
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
