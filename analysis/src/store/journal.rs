//! `journal.jsonl`: one line per event, synced before the run continues.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use protocol::AttemptId;
use serde::{Deserialize, Serialize};

use super::atomic;
use super::digest::FileSum;
use super::error::{At, StoreError};
use super::load_record::RequestCounts;
use super::record::{AttemptKey, TrialKey, TrialRecord};
use super::verdict::Validity;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Sequence number, from 1 without gaps.
    pub number: u64,
    /// Wall-clock time.
    pub at: Timestamp,
    /// The event.
    pub event: JournalEvent,
}

/// The events of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JournalEvent {
    /// The run began.
    RunStarted(RunStarted),
    /// An interrupted run was resumed.
    RunResumed(RunStarted),
    /// An attempt began.
    TrialStarted(TrialStarted),
    /// An attempt ended and its directory is complete.
    AttemptFinished(AttemptFinished),
    /// No trial is left.
    RunFinished(RunEnded),
    /// The run ended early.
    RunInterrupted(RunEnded),
}

/// The beginning of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunStarted {
    /// The controller's version.
    pub controller_version: String,
    /// The SHA-256 of `manifest.json`, which detects later changes.
    pub manifest_sha256: String,
}

/// The beginning of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialStarted {
    /// Which attempt.
    pub key: AttemptKey,
    /// Its id.
    pub attempt_id: AttemptId,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptFinished {
    /// Which attempt.
    pub key: AttemptKey,
    /// Its id.
    pub attempt_id: AttemptId,
    /// The verdict of the audit.
    pub validity: Validity,
    /// The reasons, if it is not valid.
    pub reasons: Vec<String>,
    /// Request counts.
    pub requests: RequestCounts,
    /// Every file of the directory, including `trial.json`.
    pub files: BTreeMap<String, FileSum>,
}

impl AttemptFinished {
    /// The entry for a stored record; `files` is what [`super::AttemptWriter::finish`] returned.
    #[must_use]
    pub fn of(record: &TrialRecord, files: BTreeMap<String, FileSum>) -> Self {
        Self {
            key: record.key.clone(),
            attempt_id: record.attempt_id,
            validity: record.verdict.validity,
            reasons: record.verdict.reasons.iter().map(|r| r.text.clone()).collect(),
            requests: record.requests.clone(),
            files,
        }
    }
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunEnded {
    /// The reason.
    pub why: String,
}

/// The journal of a run, open for appending.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    last: u64,
}

impl Journal {
    /// Opens or creates a journal and reads it. A truncated last line is removed; all lines before it must be complete.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Malformed`] for a damaged line before the last, or a gap in the numbers.
    pub fn open(path: &Path) -> Result<(Self, Vec<Entry>), StoreError> {
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .at(path, "open")?;
        if is_new {
            path.parent().map_or(Ok(()), atomic::sync_folder)?;
        }
        let bytes = std::fs::read(path).at(path, "read")?;
        let (entries, valid_bytes) = parse(path, &bytes)?;
        if valid_bytes < bytes.len() {
            file.set_len(valid_bytes as u64).at(path, "truncate")?;
            file.sync_all().at(path, "sync")?;
            tracing::warn!(path = %path.display(), bytes = bytes.len() - valid_bytes, "removed the truncated last line of the journal");
        }
        let last = entries.last().map_or(0, |e| e.number);
        let path = path.to_owned();
        Ok((Self { file, path, last }, entries))
    }

    /// Appends an event and syncs the file.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the line is then removed again where possible, and its number is reused.
    pub fn append(&mut self, event: JournalEvent) -> Result<Entry, StoreError> {
        let entry = Entry {
            number: self.last + 1,
            at: Timestamp::now(),
            event,
        };
        let mut line = serde_json::to_vec(&entry).map_err(|e| StoreError::malformed(&self.path, 0, e))?;
        line.push(b'\n');
        let before = self.file.metadata().at(&self.path, "query the size of")?.len();
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if written.is_err() {
            self.file.set_len(before).ok();
        }
        written.at(&self.path, "append")?;
        self.last = entry.number;
        Ok(entry)
    }
}

/// Reads a journal without opening it for writing; a truncated last line is ignored.
///
/// # Errors
/// As [`Journal::open`].
pub fn read(path: &Path) -> Result<Vec<Entry>, StoreError> {
    let bytes = std::fs::read(path).at(path, "read")?;
    parse(path, &bytes).map(|(entries, _)| entries)
}

/// The entries, and the number of bytes they occupy.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Entry>, usize), StoreError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut valid_bytes = 0;
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        let number = entries.len() as u64 + 1;
        let is_last = valid_bytes + line.len() == bytes.len();
        match serde_json::from_slice::<Entry>(line) {
            Ok(entry) if entry.number == number && line.ends_with(b"\n") => entries.push(entry),
            Ok(entry) if line.ends_with(b"\n") => {
                let why = format!("expected event {number}, found event {}", entry.number);
                return Err(StoreError::malformed(path, number, why));
            }
            _ if is_last => break,
            Ok(_) => break,
            Err(error) => return Err(StoreError::malformed(path, number, error)),
        }
        valid_bytes += line.len();
    }
    Ok((entries, valid_bytes))
}

/// The progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    trials: BTreeMap<TrialKey, TrialProgress>,
    /// Whether the run finished.
    pub finished: bool,
}

/// The progress of a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialProgress {
    /// The highest attempt number used so far.
    pub last_attempt: u32,
    /// Attempts that ended. Attempts interrupted by a crash are not included and do not count against the maximum.
    pub ended: Vec<AttemptFinished>,
}

impl TrialProgress {
    /// Whether an attempt counts.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ended.iter().any(|a| a.validity != Validity::Invalid)
    }
}

impl Progress {
    /// Replays a journal.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut progress = Self::default();
        for entry in entries {
            progress.finished = false;
            match &entry.event {
                JournalEvent::TrialStarted(started) => {
                    let trial = progress.trials.entry(started.key.trial.clone()).or_default();
                    trial.last_attempt = trial.last_attempt.max(started.key.attempt);
                }
                JournalEvent::AttemptFinished(ended) => {
                    let trial = progress.trials.entry(ended.key.trial.clone()).or_default();
                    trial.last_attempt = trial.last_attempt.max(ended.key.attempt);
                    trial.ended.push(ended.clone());
                }
                JournalEvent::RunFinished(_) => progress.finished = true,
                JournalEvent::RunStarted(_) | JournalEvent::RunResumed(_) | JournalEvent::RunInterrupted(_) => {}
            }
        }
        progress
    }

    /// The progress of a trial; empty if the journal does not mention it.
    #[must_use]
    pub fn trial(&self, key: &TrialKey) -> TrialProgress {
        self.trials.get(key).cloned().unwrap_or_default()
    }

    /// Every attempt that ended, by trial.
    pub fn ended(&self) -> impl Iterator<Item = &AttemptFinished> {
        self.trials.values().flat_map(|t| &t.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ended(why: &str) -> JournalEvent {
        JournalEvent::RunInterrupted(RunEnded { why: why.into() })
    }

    fn written(folder: &Path, n: usize) -> PathBuf {
        let path = folder.join("journal.jsonl");
        let (mut journal, before) = Journal::open(&path).unwrap();
        assert!(before.is_empty());
        for i in 0..n {
            journal.append(ended(&i.to_string())).unwrap();
        }
        path
    }

    #[test]
    fn appended_events_are_read_and_numbering_continues() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), 2);
        let (mut journal, entries) = Journal::open(&path).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].event, ended("1"));
        assert_eq!(journal.append(ended("more")).unwrap().number, 3);
        assert_eq!(read(&path).unwrap().len(), 3);
    }

    #[test]
    fn a_damaged_line_before_the_last_is_an_error_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), 3);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("\"number\":2", "\"number\":", 1)).unwrap();
        assert!(
            Journal::open(&path)
                .unwrap_err()
                .to_string()
                .contains("journal.jsonl:2:")
        );
        let without: String = text
            .lines()
            .filter(|l| !l.contains("\"number\":2"))
            .map(|l| format!("{l}\n"))
            .collect();
        std::fs::write(&path, without).unwrap();
        let error = Journal::open(&path).unwrap_err().to_string();
        assert!(error.contains("expected event 2, found event 3"), "{error}");
    }

    proptest! {
        #[test]
        fn a_truncated_journal_keeps_its_complete_lines(cut in 0usize..1000) {
            let folder = tempfile::tempdir().unwrap();
            let path = written(folder.path(), 4);
            let bytes = std::fs::read(&path).unwrap();
            let cut = cut % (bytes.len() + 1);
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let whole = bytes[..cut].iter().filter(|&&b| b == b'\n').count();
            let (mut journal, entries) = Journal::open(&path).unwrap();
            prop_assert_eq!(entries.len(), whole);
            journal.append(ended("after")).unwrap();
            prop_assert_eq!(read(&path).unwrap().len(), whole + 1);
        }
    }
}
