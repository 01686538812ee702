//! One segment file of a log, with a sparse index in memory.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::BatchHeader;
use crate::error::StorageError;

/// Bytes between two index entries.
const INDEX_INTERVAL: u64 = 4096;

/// A batch in a segment.
#[derive(Debug)]
pub struct FoundBatch {
    /// Its position in the file.
    pub position: u64,
    /// Its header.
    pub header: BatchHeader,
}

/// A file of batches, named after the offset of its first batch.
#[derive(Debug)]
pub struct Segment {
    /// Offset of the first batch, also before it is written.
    pub base: i64,
    /// The file.
    pub path: PathBuf,
    /// Size of the complete batches in bytes.
    pub size: u64,
    /// Maximum timestamp of its records in ms since the Unix epoch; -1 when empty.
    pub max_timestamp: i64,
    file: Option<Arc<File>>,
    index: Vec<(i64, u64)>,
}

impl Segment {
    /// An empty segment that starts at `base`; the file is created on the first append.
    pub fn new(folder: &Path, base: i64) -> Self {
        let path = folder.join(format!("{base:020}.log"));
        Segment {
            base,
            path,
            size: 0,
            max_timestamp: -1,
            file: None,
            index: Vec::new(),
        }
    }

    /// The open file, created if missing.
    pub fn file(&mut self) -> Result<Arc<File>, StorageError> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.path);
        let file = Arc::new(open.map_err(StorageError::at("open", &self.path))?);
        Ok(Arc::clone(self.file.insert(file)))
    }

    /// Closes the file of a segment that is no longer appended to; reads reopen it.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Appends a batch. After an error the segment is unchanged.
    pub fn append(&mut self, batch: &[u8], header: &BatchHeader) -> Result<Arc<File>, StorageError> {
        let file = self.file()?;
        if let Err(source) = file.write_all_at(batch, self.size) {
            // A partial write must not be taken for a batch after a restart.
            let _truncated = file.set_len(self.size);
            return Err(StorageError::at("append to", &self.path)(source));
        }
        self.record(header);
        Ok(file)
    }

    /// Adds a batch that is already in the file to the index and the size.
    pub fn record(&mut self, header: &BatchHeader) {
        if self
            .index
            .last()
            .is_none_or(|&(_, position)| self.size - position >= INDEX_INTERVAL)
        {
            self.index.push((header.base_offset, self.size));
        }
        self.size += header.size as u64;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
    }

    /// A file position at or before the batch that contains `offset`.
    pub fn position_before(&self, offset: i64) -> u64 {
        let after = self.index.partition_point(|&(base, _)| base <= offset);
        after.checked_sub(1).map_or(0, |at| self.index[at].1)
    }

    /// Reads up to `count` bytes at `position`, never beyond the last complete batch.
    pub fn read(&self, position: u64, count: usize) -> Result<Vec<u8>, StorageError> {
        let left = usize::try_from(self.size.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; count.min(left)];
        let opened;
        let file = match &self.file {
            Some(file) => file,
            None => {
                opened = Arc::new(File::open(&self.path).map_err(StorageError::at("open", &self.path))?);
                &opened
            }
        };
        file.read_exact_at(&mut bytes, position)
            .map_err(StorageError::at("read", &self.path))?;
        Ok(bytes)
    }

    /// The batch that contains `offset`.
    pub fn find_batch(&self, offset: i64) -> Result<Option<FoundBatch>, StorageError> {
        self.first_batch(self.position_before(offset), |header| header.last_offset() >= offset)
    }

    /// The first batch at or after `position` that matches.
    pub fn first_batch(
        &self,
        mut position: u64,
        matches: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<FoundBatch>, StorageError> {
        const WINDOW: usize = 16 << 10;
        while position < self.size {
            let window = self.read(position, WINDOW)?;
            let mut at = 0;
            while let Ok(header) = BatchHeader::parse(&window[at.min(window.len())..]) {
                if matches(&header) {
                    return Ok(Some(FoundBatch {
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
}
