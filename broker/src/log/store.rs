//! Appending to a log and reading from it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{BatchError, BatchHeader, Producers, Segment, Verdict, records, recovery};
use crate::error::StorageError;
use crate::files;

/// Limits of one log.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings {
    /// Size in bytes at which a new segment begins.
    pub segment_bytes: u64,
    /// Largest batch in bytes.
    pub max_batch: usize,
    /// Idempotent producers remembered.
    pub producers: usize,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Not a valid batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Larger than allowed.
    #[error("batch of {0} bytes is too large")]
    TooLarge(usize),
    /// More than one batch, or none.
    #[error("exactly one batch is wanted in a request")]
    NotOneBatch,
    /// Transactions are not spoken.
    #[error("transactional and control batches are not taken")]
    Transactional,
    /// The producer left out a batch.
    #[error("sequence number is out of order")]
    OutOfOrder,
    /// A newer incarnation of the producer exists.
    #[error("producer epoch is old")]
    Fenced,
    /// The file could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A batch that is in the log.
#[derive(Debug)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// The file it was written to; `None` for a duplicate.
    pub file: Option<Arc<File>>,
}

/// The log of one partition.
#[derive(Debug)]
pub struct Log {
    pub(super) folder: PathBuf,
    /// In order of offsets; the last one takes appends.
    pub(super) segments: Vec<Segment>,
    pub(super) start: i64,
    pub(super) next: i64,
    producers: Producers,
    settings: LogSettings,
    dirty: bool,
}

impl Log {
    /// Loads the log of a folder, making the folder if missing; cuts what is damaged.
    pub fn open(folder: &Path, settings: LogSettings) -> Result<Self, StorageError> {
        fs::create_dir_all(folder).map_err(StorageError::at("create", folder))?;
        let mut producers = Producers::new(settings.producers);
        let segments = recovery::load(folder, &mut producers)?;
        let first = segments.first().map_or(0, |segment| segment.base);
        let start = files::read_number(&folder.join("start"))?.unwrap_or(0).max(first);
        let mut log = Log {
            folder: folder.to_owned(),
            segments,
            start,
            next: 0,
            producers,
            settings,
            dirty: false,
        };
        log.next = log.find_end()?;
        log.start = log.start.min(log.next);
        Ok(log)
    }

    fn find_end(&self) -> Result<i64, StorageError> {
        let Some(last) = self.segments.last() else {
            return Ok(0);
        };
        let mut end = last.base;
        let mut position = last.position_before(i64::MAX);
        while position < last.size {
            let Ok(header) = BatchHeader::parse(&last.read(position, super::HEADER_BYTES)?) else {
                break;
            };
            end = header.last_offset() + 1;
            position += header.size as u64;
        }
        Ok(end)
    }

    /// First offset that can be read.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Offset that the next record gets (the high watermark, on a single node).
    pub fn end(&self) -> i64 {
        self.next
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Appends the one batch of a produce request, or recognises that it was appended before.
    pub fn append(&mut self, records: &[u8]) -> Result<Appended, AppendError> {
        let mut header = BatchHeader::check(records)?;
        self.admit(records, &header)?;
        match self.producers.judge(&header) {
            Verdict::Append => {}
            Verdict::Duplicate(base_offset) => {
                return Ok(Appended {
                    base_offset,
                    file: None,
                });
            }
            Verdict::OutOfOrder => return Err(AppendError::OutOfOrder),
            Verdict::Fenced => return Err(AppendError::Fenced),
        }
        header.base_offset = self.next;
        // The base offset and the leader epoch are the broker's to set; the checksum does not cover them.
        let mut batch = records.to_vec();
        batch[..8].copy_from_slice(&self.next.to_be_bytes());
        batch[12..16].copy_from_slice(&0i32.to_be_bytes());
        let file = self.active(header.size)?.append(&batch, &header)?;
        self.producers.appended(&header);
        self.next = header.last_offset() + 1;
        self.dirty = true;
        Ok(Appended {
            base_offset: header.base_offset,
            file: Some(file),
        })
    }

    fn admit(&self, records: &[u8], header: &BatchHeader) -> Result<(), AppendError> {
        if header.size > self.settings.max_batch {
            return Err(AppendError::TooLarge(header.size));
        }
        if header.size != records.len() {
            return Err(AppendError::NotOneBatch);
        }
        if header.transactional() {
            return Err(AppendError::Transactional);
        }
        Ok(records::consistent(records, header)?)
    }

    /// The segment that takes a batch of this size.
    fn active(&mut self, size: usize) -> Result<&mut Segment, StorageError> {
        let full = |s: &Segment| s.size > 0 && s.size + size as u64 > self.settings.segment_bytes;
        if self.segments.last().is_none_or(full) {
            self.roll()?;
        }
        let last = self.segments.len() - 1;
        Ok(&mut self.segments[last])
    }

    /// Ends the last segment and begins a new one at the log's end.
    pub(super) fn roll(&mut self) -> Result<(), StorageError> {
        let mut fresh = Segment::new(&self.folder, self.next);
        fresh.file()?;
        if let Some(last) = self.segments.last_mut() {
            let file = last.file()?;
            file.sync_data().map_err(StorageError::at("sync", &last.path))?;
            last.close();
        }
        self.segments.push(fresh);
        Ok(())
    }

    /// Whole batches from the one that holds `offset` on: at most `limit` bytes, but at least one batch if
    /// `one_at_least`. Empty at the log's end and outside the log.
    pub fn read(&self, offset: i64, limit: usize, one_at_least: bool) -> Result<Bytes, StorageError> {
        if offset < self.start || offset >= self.next {
            return Ok(Bytes::new());
        }
        let at = self
            .segments
            .partition_point(|segment| segment.base <= offset)
            .saturating_sub(1);
        let segment = &self.segments[at];
        let Some(found) = super::search::batch_of(segment, offset)? else {
            return Ok(Bytes::new());
        };
        let mut bytes = segment.read(found.position, limit.max(super::HEADER_BYTES))?;
        let mut whole = super::search::whole_batches(&bytes, limit);
        if whole == 0 && one_at_least {
            bytes = segment.read(found.position, found.header.size)?;
            whole = bytes.len();
        }
        bytes.truncate(whole);
        Ok(Bytes::from(bytes))
    }

    /// The file that holds unforced records, if any; the caller forces it.
    pub fn take_dirty(&mut self) -> Result<Option<Arc<File>>, StorageError> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(None);
        }
        self.segments.last_mut().map(Segment::file).transpose()
    }
}
