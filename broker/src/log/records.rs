//! The records inside an uncompressed batch: walked to check them and to find a timestamp.

use super::{BatchError, BatchHeader, HEADER_BYTES};

/// Offset and timestamp of one record, relative to its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// Offset minus the batch's base offset.
    pub delta: i32,
    /// Timestamp in ms since 1970.
    pub timestamp: i64,
}

/// The records of a checked batch; a compressed one yields none, because no codec is built in.
pub fn places(batch: &[u8], header: &BatchHeader) -> Result<Vec<RecordPlace>, BatchError> {
    if header.compressed() {
        return Ok(Vec::new());
    }
    let mut rest = batch.get(HEADER_BYTES..header.size).ok_or(BatchError::Short)?;
    let mut places = Vec::new();
    while !rest.is_empty() {
        let length = usize::try_from(varint(&mut rest)?).map_err(|_| BatchError::Inconsistent)?;
        let mut record = rest.get(1..length).ok_or(BatchError::Inconsistent)?;
        rest = &rest[length..];
        let timestamp = header.base_timestamp.saturating_add(varint(&mut record)?);
        let delta = i32::try_from(varint(&mut record)?).map_err(|_| BatchError::Inconsistent)?;
        places.push(RecordPlace { delta, timestamp });
    }
    Ok(places)
}

/// Whether the records of an uncompressed batch are as many and as numbered as its header says.
pub fn consistent(batch: &[u8], header: &BatchHeader) -> Result<(), BatchError> {
    if header.compressed() {
        return Ok(());
    }
    let places = places(batch, header)?;
    let numbered = places.iter().zip(0..).all(|(place, delta)| place.delta == delta);
    let counted = usize::try_from(header.count).is_ok_and(|count| count == places.len());
    if numbered && counted {
        Ok(())
    } else {
        Err(BatchError::Inconsistent)
    }
}

/// A zigzag varint of at most ten bytes.
fn varint(bytes: &mut &[u8]) -> Result<i64, BatchError> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(BatchError::Inconsistent)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    Err(BatchError::Inconsistent)
}
