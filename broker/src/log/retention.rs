//! Deleting what is too old, too much, or no longer wanted.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Log;
use crate::config::Retention;
use crate::error::StorageError;
use crate::files;

impl Log {
    /// Deletes whole segments beyond `retention`; returns how many went.
    pub fn retain(&mut self, retention: &Retention, now: SystemTime) -> Result<usize, StorageError> {
        let oldest = retention
            .age
            .map(|age| millis(now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age)));
        let aged = |max: i64| oldest.is_some_and(|oldest| max < oldest);
        if self
            .segments
            .last()
            .is_some_and(|last| last.size > 0 && aged(last.max_timestamp))
        {
            self.roll()?;
        }
        let mut size = self.size();
        let mut gone = 0;
        for pair in self.segments.windows(2) {
            let [segment, after] = pair else { break };
            let too_much = retention.bytes.is_some_and(|bytes| size - segment.size >= bytes);
            if !(too_much || aged(segment.max_timestamp) || after.base <= self.start) {
                break;
            }
            size -= segment.size;
            gone += 1;
        }
        self.remove_first(gone)?;
        Ok(gone)
    }

    /// Makes every record before `offset` unreadable, for good (DeleteRecords).
    pub fn delete_before(&mut self, offset: i64) -> Result<(), StorageError> {
        self.start = self.start.max(offset.min(self.next));
        files::write_atomic(&self.folder.join("start"), self.start.to_string().as_bytes())?;
        let gone = self
            .segments
            .windows(2)
            .take_while(|pair| pair[1].base <= self.start)
            .count();
        self.remove_first(gone)
    }

    fn remove_first(&mut self, count: usize) -> Result<(), StorageError> {
        for segment in self.segments.drain(..count) {
            fs::remove_file(&segment.path).map_err(StorageError::at("delete", &segment.path))?;
        }
        self.start = self.start.max(self.segments.first().map_or(0, |first| first.base));
        Ok(())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
