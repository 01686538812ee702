//! A log that many connections share, and the fetches that wait for it to grow.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::error::StorageError;
use crate::log::{AppendError, Appended, Log, LogSettings};

/// One partition.
#[derive(Debug)]
pub struct Partition {
    log: Mutex<Log>,
    waiting: Mutex<Vec<Weak<Notify>>>,
}

impl Partition {
    /// Loads or makes the partition in `folder`.
    pub fn open(folder: &Path, settings: LogSettings) -> Result<Self, StorageError> {
        Ok(Partition {
            log: Mutex::new(Log::open(folder, settings)?),
            waiting: Mutex::default(),
        })
    }

    /// The log, locked. Never held across an await.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends one batch and wakes the fetches that wait for it.
    pub fn append(&self, records: &[u8]) -> Result<Appended, AppendError> {
        let appended = self.log().append(records)?;
        self.wake();
        Ok(appended)
    }

    /// `reader` is notified once, at the next append or deletion.
    pub fn watch(&self, reader: &Arc<Notify>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|other| other.strong_count() > 0);
        waiting.push(Arc::downgrade(reader));
    }

    /// Wakes every waiting fetch.
    pub fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|reader| reader.notify_one());
    }

    /// The file with unforced records, if any.
    pub fn take_dirty(&self) -> Result<Option<Arc<File>>, StorageError> {
        self.log().take_dirty()
    }
}
