//! A partition: a log shared by all connections, and the fetches that wait for appends to it.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::error::StorageError;
use crate::log::{AppendError, Appended, LogSettings, PartitionLog};

/// One partition.
#[derive(Debug)]
pub struct Partition {
    log: Mutex<PartitionLog>,
    waiting: Mutex<Vec<Weak<Notify>>>,
}

impl Partition {
    /// Loads or creates the partition in `folder`.
    pub fn open(folder: &Path, settings: LogSettings) -> Result<Self, StorageError> {
        Ok(Partition {
            log: Mutex::new(PartitionLog::open(folder, settings)?),
            waiting: Mutex::default(),
        })
    }

    /// The log, locked. Do not hold it across an await.
    pub fn log(&self) -> MutexGuard<'_, PartitionLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a batch and wakes the waiting fetches.
    pub fn append(&self, records: &[u8]) -> Result<Appended, AppendError> {
        let appended = self.log().append(records)?;
        self.wake();
        Ok(appended)
    }

    /// Notifies `reader` once, at the next append or deletion.
    pub fn notify_on_change(&self, reader: &Arc<Notify>) {
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

    /// The file with unsynced records, if any; the caller syncs it.
    pub fn take_dirty(&self) -> Result<Option<Arc<File>>, StorageError> {
        self.log().take_dirty()
    }
}
