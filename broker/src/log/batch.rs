//! The header of a record batch (magic 2), and the check of a whole batch.

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;
/// Bytes before the part that the length field counts.
const PREFIX_BYTES: usize = 12;
/// Where the bytes covered by the CRC begin.
const CRC_FROM: usize = 21;

/// Why bytes are not a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than the header or the length field demand.
    #[error("batch is cut short")]
    Short,
    /// The length field is below the header's size.
    #[error("batch length {0} is too small")]
    Length(i32),
    /// A format other than 2; Apache Kafka 4 takes no other either.
    #[error("record format {0} is not spoken, only 2")]
    Magic(i8),
    /// The checksum does not fit the bytes.
    #[error("checksum does not match")]
    Crc,
    /// Counts, deltas or records contradict each other.
    #[error("record count or offsets are inconsistent")]
    Inconsistent,
}

/// What the broker needs to know of a batch.
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
    /// Timestamp of the first record in ms since 1970.
    pub base_timestamp: i64,
    /// Newest timestamp in ms since 1970.
    pub max_timestamp: i64,
    /// Id of an idempotent producer, or -1.
    pub producer_id: i64,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// Its sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub count: i32,
}

impl BatchHeader {
    /// Reads the header; `bytes` may end before the batch does.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let field = Fields(bytes.get(..HEADER_BYTES).ok_or(BatchError::Short)?);
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

    /// Reads and checks a whole batch: size, checksum, counts.
    pub fn check(bytes: &[u8]) -> Result<Self, BatchError> {
        let header = Self::parse(bytes)?;
        let batch = bytes.get(..header.size).ok_or(BatchError::Short)?;
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

    /// Whether the batch belongs to a transaction or is a control batch; neither is taken from clients.
    pub fn transactional(&self) -> bool {
        self.attributes & 0x30 != 0
    }

    /// The producer's sequence number of the last record; wraps to 0 after the largest.
    pub fn last_sequence(&self) -> i32 {
        let sum = i64::from(self.base_sequence) + i64::from(self.last_delta);
        i32::try_from(sum % (1 << 31)).unwrap_or(0)
    }
}

/// Fixed fields of a slice that is known to be long enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn at<const N: usize>(&self, from: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.0[from..from + N]);
        field
    }
}
