//! What survives `kill -9`: a file for every attempt, on the disk before its first process exists, removed when its teardown left nothing.
//!
//! A runner that comes back removes by mark what its dead self left, whatever the ledger says. The ledger tells it which attempts those
//! were, so that a controller that asks hears "unknown, cleaned up" and no attempt is ever begun twice.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::spec::PlatformSpec;
use protocol::{AttemptId, Epoch, Name};
use serde::{Deserialize, Serialize};

/// How long an attempt that was never torn down is remembered.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// The folder of the files.
#[derive(Clone, Debug)]
pub struct Ledger {
    folder: PathBuf,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The attempt.
    pub attempt: AttemptId,
    /// The runner's name then: the mark on whatever it left behind.
    pub runner: Name,
    /// The controller that ordered it.
    pub controller: Name,
    /// Its generation.
    pub epoch: Epoch,
    /// The experiment and cell, for people.
    pub trial: String,
    /// The runner's wall clock at its start, ms since 1970.
    pub started_unix_ms: u64,
    /// What it ran on; `None`: written by an older runner.
    #[serde(default)]
    pub platform: Option<PlatformSpec>,
}

/// A file of the ledger could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {source} (is the disk full, or the folder not ours?)", path.display())]
pub struct LedgerError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Ledger {
    /// The ledger in a state folder.
    ///
    /// # Errors
    /// If its folder cannot be made.
    pub fn open(state: &Path) -> Result<Self, LedgerError> {
        let folder = state.join("ledger");
        fs::create_dir_all(&folder).map_err(fault("cannot make", &folder))?;
        Ok(Self { folder })
    }

    /// Writes an attempt down; on return it is on the disk.
    ///
    /// # Errors
    /// If it is not.
    pub fn enter(&self, record: &Record) -> Result<(), LedgerError> {
        let path = self.path(record.attempt);
        let fresh = path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&fresh)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| {
            // What is half written must not take up the last of a full disk.
            let _ = fs::remove_file(&fresh);
            fault("cannot write", &path)(source)
        })
    }

    /// Forgets an attempt that was torn down.
    ///
    /// # Errors
    /// If its file cannot be removed; one that is not there is fine.
    pub fn strike(&self, attempt: AttemptId) -> Result<(), LedgerError> {
        let path = self.path(attempt);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("cannot remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// The attempts that a dead self left, oldest first. Files that cannot be read are left out, those over a day old removed.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn open_attempts(&self, now_unix_ms: u64) -> Result<Vec<Record>, LedgerError> {
        let listing = fs::read_dir(&self.folder).map_err(fault("cannot list", &self.folder))?;
        let mut records: Vec<Record> = listing
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                if path.extension()? != "json" {
                    return None;
                }
                serde_json::from_slice(&fs::read(&path).ok()?)
                    .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "not a record of the ledger"))
                    .ok()
            })
            .collect();
        let kept_ms = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
        let is_old = |record: &Record| now_unix_ms.saturating_sub(record.started_unix_ms) > kept_ms;
        for old in records.iter().filter(|record| is_old(record)) {
            self.strike(old.attempt)?;
        }
        records.retain(|record| !is_old(record));
        records.sort_by_key(|record| record.attempt);
        Ok(records)
    }

    fn path(&self, attempt: AttemptId) -> PathBuf {
        self.folder.join(format!("{attempt}.json"))
    }
}

fn fault(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LedgerError {
    let path = path.to_owned();
    move |source| LedgerError { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_764_000_000_000;

    fn record(age_ms: u64) -> Record {
        Record {
            attempt: AttemptId::fresh(),
            runner: "lab".parse().unwrap(),
            controller: "night".parse().unwrap(),
            epoch: Epoch(7),
            trial: "night native.tcp.r500".to_owned(),
            started_unix_ms: NOW - age_ms,
            platform: None,
        }
    }

    #[test]
    fn what_is_entered_is_there_until_it_is_struck() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let (a, b) = (record(0), record(1));
        ledger.enter(&a).unwrap();
        ledger.enter(&b).unwrap();
        assert_eq!(
            Ledger::open(folder.path()).unwrap().open_attempts(NOW).unwrap(),
            [a.clone(), b.clone()]
        );
        ledger.strike(a.attempt).unwrap();
        ledger.strike(a.attempt).unwrap();
        assert_eq!(ledger.open_attempts(NOW).unwrap(), [b]);
    }

    #[test]
    fn torn_and_foreign_files_are_left_out_and_old_ones_removed() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let old = record(25 * 3600 * 1000);
        ledger.enter(&old).unwrap();
        fs::write(folder.path().join("ledger/torn.json"), b"{\"att").unwrap();
        fs::write(folder.path().join("ledger/x.new"), b"{").unwrap();
        assert_eq!(ledger.open_attempts(NOW).unwrap(), []);
        assert!(!ledger.path(old.attempt).exists());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        fs::remove_dir(folder.path().join("ledger")).unwrap();
        let error = ledger.enter(&record(0)).unwrap_err().to_string();
        assert!(error.contains("ledger/") && error.contains("disk full"), "{error}");
    }
}
