//! The attempts that run, on disk, so that they survive `kill -9`: a file per attempt, synced before its first process exists and removed when its
//! teardown left nothing.
//!
//! A restarted runner removes what a crashed previous instance left by its mark, whatever the journal says. The journal tells it which attempts those
//! were, so that it can answer their controllers and never starts an attempt twice.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::spec::PlatformSpec;
use protocol::{AttemptId, Epoch, Name};
use serde::{Deserialize, Serialize};

/// How long an attempt that was never torn down is kept.
const RETENTION: Duration = Duration::from_secs(24 * 3600);

/// The journal: a folder with a file per attempt.
#[derive(Clone, Debug)]
pub struct CrashJournal {
    folder: PathBuf,
}

/// The contents of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The attempt.
    pub attempt: AttemptId,
    /// The runner's name at that time, which is part of the mark on everything it created.
    pub runner: Name,
    /// The controller that sent the RUN.
    pub controller: Name,
    /// Its epoch.
    pub epoch: Epoch,
    /// The experiment and cell, for messages.
    pub trial: String,
    /// The runner's wall clock at its start, ms since 1970.
    pub started_unix_ms: u64,
    /// The platform; `None`: written by an older runner.
    #[serde(default)]
    pub platform: Option<PlatformSpec>,
}

/// A file of the journal could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {source}: check free disk space and the folder's owner", path.display())]
pub struct CrashJournalError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl CrashJournal {
    /// Opens the journal in a state folder, `<state>/ledger`.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn open(state: &Path) -> Result<Self, CrashJournalError> {
        let folder = state.join("ledger");
        fs::create_dir_all(&folder).map_err(error("cannot create", &folder))?;
        Ok(Self { folder })
    }

    /// Adds an attempt; when this returns, it is synced to disk.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn insert(&self, record: &Record) -> Result<(), CrashJournalError> {
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
            // An incomplete file must not use up the rest of a full disk.
            let _ = fs::remove_file(&fresh);
            error("cannot write", &path)(source)
        })
    }

    /// Removes an attempt that was torn down.
    ///
    /// # Errors
    /// If its file cannot be removed; a missing one is fine.
    pub fn remove(&self, attempt: AttemptId) -> Result<(), CrashJournalError> {
        let path = self.path(attempt);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(error("cannot remove", &path)(source)),
            _ => Ok(()),
        }
    }

    /// The attempts that were never torn down, oldest first. Unreadable files are skipped; those older than a day are removed.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn unfinished(&self, now_unix_ms: u64) -> Result<Vec<Record>, CrashJournalError> {
        let listing = fs::read_dir(&self.folder).map_err(error("cannot list", &self.folder))?;
        let mut records: Vec<Record> = listing
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                if path.extension()? != "json" {
                    return None;
                }
                serde_json::from_slice(&fs::read(&path).ok()?)
                    .inspect_err(
                        |error| tracing::warn!(path = %path.display(), %error, "not a record of the crash journal"),
                    )
                    .ok()
            })
            .collect();
        let retention_ms = u64::try_from(RETENTION.as_millis()).unwrap_or(u64::MAX);
        let is_old = |record: &Record| now_unix_ms.saturating_sub(record.started_unix_ms) > retention_ms;
        for old in records.iter().filter(|record| is_old(record)) {
            self.remove(old.attempt)?;
        }
        records.retain(|record| !is_old(record));
        records.sort_by_key(|record| record.attempt);
        Ok(records)
    }

    fn path(&self, attempt: AttemptId) -> PathBuf {
        self.folder.join(format!("{attempt}.json"))
    }
}

fn error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CrashJournalError {
    let path = path.to_owned();
    move |source| CrashJournalError { what, path, source }
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
    fn an_attempt_is_listed_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = CrashJournal::open(folder.path()).unwrap();
        let (a, b) = (record(0), record(1));
        journal.insert(&a).unwrap();
        journal.insert(&b).unwrap();
        assert_eq!(
            CrashJournal::open(folder.path()).unwrap().unfinished(NOW).unwrap(),
            [a.clone(), b.clone()]
        );
        journal.remove(a.attempt).unwrap();
        journal.remove(a.attempt).unwrap();
        assert_eq!(journal.unfinished(NOW).unwrap(), [b]);
    }

    #[test]
    fn truncated_and_foreign_files_are_skipped_and_old_ones_removed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = CrashJournal::open(folder.path()).unwrap();
        let old = record(25 * 3600 * 1000);
        journal.insert(&old).unwrap();
        fs::write(folder.path().join("ledger/torn.json"), b"{\"att").unwrap();
        fs::write(folder.path().join("ledger/x.new"), b"{").unwrap();
        assert_eq!(journal.unfinished(NOW).unwrap(), []);
        assert!(!journal.path(old.attempt).exists());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let journal = CrashJournal::open(folder.path()).unwrap();
        fs::remove_dir(folder.path().join("ledger")).unwrap();
        let error = journal.insert(&record(0)).unwrap_err().to_string();
        assert!(
            error.contains("ledger/") && error.contains("free disk space"),
            "{error}"
        );
    }
}
