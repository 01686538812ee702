//! One file of a log, with a sparse index in memory.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::BatchHeader;
use crate::error::StorageError;

/// Bytes of log between two entries of the index.
const INDEX_EVERY: u64 = 4096;

/// A file of batches; its name is the offset of its first batch.
#[derive(Debug)]
pub struct Segment {
    /// Offset that the first batch has or will have.
    pub base: i64,
    /// The file.
    pub path: PathBuf,
    /// Bytes of whole batches in it.
    pub size: u64,
    /// Newest timestamp of its records in ms since 1970, -1 when empty.
    pub max_timestamp: i64,
    file: Option<Arc<File>>,
    index: Vec<(i64, u64)>,
}

impl Segment {
    /// A segment that begins at `base`; the file is made at the first append.
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

    /// Closes the file of a segment that gets no more appends; reads open it again.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Writes a batch behind the last one. After an error the segment is as before.
    pub fn append(&mut self, batch: &[u8], header: &BatchHeader) -> Result<Arc<File>, StorageError> {
        let file = self.file()?;
        if let Err(source) = file.write_all_at(batch, self.size) {
            // What was written of it must not look like a batch after a restart.
            let _torn = file.set_len(self.size);
            return Err(StorageError::at("append to", &self.path)(source));
        }
        self.note(header);
        Ok(file)
    }

    /// Takes account of a batch that is in the file behind the last one.
    pub fn note(&mut self, header: &BatchHeader) {
        if self
            .index
            .last()
            .is_none_or(|&(_, position)| self.size - position >= INDEX_EVERY)
        {
            self.index.push((header.base_offset, self.size));
        }
        self.size += header.size as u64;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
    }

    /// A position in the file at or before the batch that holds `offset`.
    pub fn position_before(&self, offset: i64) -> u64 {
        let after = self.index.partition_point(|&(base, _)| base <= offset);
        after.checked_sub(1).map_or(0, |at| self.index[at].1)
    }

    /// Reads up to `count` bytes at `position`, never beyond the last whole batch.
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
}
