//! Record batches (magic 2): the header, the verification, and the records of uncompressed batches.

/// Size of the batch header.
pub const HEADER_BYTES: usize = 61;
/// Bytes of the header that the length field does not count.
const PREFIX_BYTES: usize = 12;
/// Offset of the first byte covered by the CRC.
const CRC_FROM: usize = 21;

/// Why a batch is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than the header or the length field require.
    #[error("truncated batch")]
    Truncated,
    /// The length field is smaller than the header.
    #[error("batch length {0} is too small")]
    Length(i32),
    /// A record format other than 2, the only one that Apache Kafka 4 supports.
    #[error("unsupported record format {0}: only 2 is supported")]
    Magic(i8),
    /// The checksum does not match.
    #[error("checksum mismatch")]
    Crc,
    /// The record count, the deltas and the records contradict each other.
    #[error("inconsistent record count or offsets")]
    Inconsistent,
}

/// The header fields that the broker uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Size of the whole batch in bytes.
    pub size: usize,
    /// Compression (bits 0 to 2), timestamp type (3), transactional (4), control (5).
    pub attributes: i16,
    /// Offset of the last record, minus `base_offset`.
    pub last_delta: i32,
    /// Timestamp of the first record in ms since the Unix epoch.
    pub base_timestamp: i64,
    /// Maximum timestamp in ms since the Unix epoch.
    pub max_timestamp: i64,
    /// Producer id of an idempotent producer, or -1.
    pub producer_id: i64,
    /// Producer epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub count: i32,
}

impl BatchHeader {
    /// Parses the header; `bytes` may end before the batch does.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let field = Fields(bytes.get(..HEADER_BYTES).ok_or(BatchError::Truncated)?);
        let length = i32::from_be_bytes(field.at(8));
        let size = usize::try_from(length).map_err(|_| BatchError::Length(length))? + PREFIX_BYTES;
        if size < HEADER_BYTES {
            return Err(BatchError::Length(length));
        }
        match i8::from_be_bytes(field.at(16)) {
            2 => {}
            magic => return Err(BatchError::Magic(magic)),
        }
        Ok(BatchHeader {
            base_offset: i64::from_be_bytes(field.at(0)),
            size,
            attributes: i16::from_be_bytes(field.at(21)),
            last_delta: i32::from_be_bytes(field.at(23)),
            base_timestamp: i64::from_be_bytes(field.at(27)),
            max_timestamp: i64::from_be_bytes(field.at(35)),
            producer_id: i64::from_be_bytes(field.at(43)),
            producer_epoch: i16::from_be_bytes(field.at(51)),
            base_sequence: i32::from_be_bytes(field.at(53)),
            count: i32::from_be_bytes(field.at(57)),
        })
    }

    /// Parses the header and verifies the batch: size, checksum, record count.
    pub fn verify(bytes: &[u8]) -> Result<Self, BatchError> {
        let header = Self::parse(bytes)?;
        let batch = bytes.get(..header.size).ok_or(BatchError::Truncated)?;
        let crc = u32::from_be_bytes(Fields(batch).at(17));
        if crc32c::crc32c(&batch[CRC_FROM..]) != crc {
            return Err(BatchError::Crc);
        }
        if header.count < 1 || header.last_delta != header.count - 1 {
            return Err(BatchError::Inconsistent);
        }
        Ok(header)
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_delta))
    }

    /// Whether the records are compressed.
    pub fn compressed(&self) -> bool {
        self.attributes & 0x07 != 0
    }

    /// Whether the batch is transactional or a control batch; both are refused from clients.
    pub fn transactional(&self) -> bool {
        self.attributes & 0x30 != 0
    }

    /// Sequence number of the last record; wraps to 0 after the maximum.
    pub fn last_sequence(&self) -> i32 {
        let sum = i64::from(self.base_sequence) + i64::from(self.last_delta);
        i32::try_from(sum % (1 << 31)).unwrap_or(0)
    }
}

/// Fixed-size fields of a slice that is known to be long enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn at<const N: usize>(&self, from: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.0[from..from + N]);
        field
    }
}

/// Offset delta and timestamp of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPosition {
    /// Offset minus the batch's base offset.
    pub delta: i32,
    /// Timestamp in ms since the Unix epoch.
    pub timestamp: i64,
}

/// The records of a verified batch; none for a compressed batch, because the broker has no codecs.
pub fn record_positions(batch: &[u8], header: &BatchHeader) -> Result<Vec<RecordPosition>, BatchError> {
    if header.compressed() {
        return Ok(Vec::new());
    }
    let mut rest = batch.get(HEADER_BYTES..header.size).ok_or(BatchError::Truncated)?;
    let mut positions = Vec::new();
    while !rest.is_empty() {
        let length = usize::try_from(varint(&mut rest)?).map_err(|_| BatchError::Inconsistent)?;
        let mut record = rest.get(1..length).ok_or(BatchError::Inconsistent)?;
        rest = &rest[length..];
        let timestamp = header.base_timestamp.saturating_add(varint(&mut record)?);
        let delta = i32::try_from(varint(&mut record)?).map_err(|_| BatchError::Inconsistent)?;
        positions.push(RecordPosition { delta, timestamp });
    }
    Ok(positions)
}

/// Checks that the number and the offsets of the records of an uncompressed batch match its header.
pub fn check_records(batch: &[u8], header: &BatchHeader) -> Result<(), BatchError> {
    if header.compressed() {
        return Ok(());
    }
    let positions = record_positions(batch, header)?;
    let in_order = positions.iter().zip(0..).all(|(record, delta)| record.delta == delta);
    let complete = usize::try_from(header.count).is_ok_and(|count| count == positions.len());
    if in_order && complete {
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
