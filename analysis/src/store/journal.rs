//! `journal.jsonl`: what happened, one line an event, on the disk before anything else goes on.

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
use super::record::{AttemptKey, TrialRecord};
use super::request::RequestCounts;
use super::verdict::Validity;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number, from 1 without gaps.
    pub number: u64,
    /// Wall-clock time.
    pub at: Timestamp,
    /// What happened.
    pub event: JournalEvent,
}

/// What can happen in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JournalEvent {
    /// The run begins.
    RunStarted(RunStarted),
    /// The run goes on after it was interrupted.
    RunResumed(RunStarted),
    /// An attempt begins.
    TrialStarted(TrialStarted),
    /// An attempt is over and its folder whole.
    AttemptFinished(AttemptFinished),
    /// Nothing is left to do.
    RunFinished(RunEnded),
    /// The run ends early.
    RunInterrupted(RunEnded),
}

/// The beginning of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunStarted {
    /// The controller's version.
    pub controller_version: String,
    /// The SHA-256 of `manifest.json`, which this line protects from later changes.
    pub manifest_sha256: String,
}

/// The beginning of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialStarted {
    /// Which attempt.
    pub key: AttemptKey,
    /// Its identity.
    pub attempt_id: AttemptId,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptFinished {
    /// Which attempt.
    pub key: AttemptKey,
    /// Its identity.
    pub attempt_id: AttemptId,
    /// What the audit says.
    pub validity: Validity,
    /// Why, if not valid.
    pub reasons: Vec<String>,
    /// The requests.
    pub requests: RequestCounts,
    /// Every file of the folder, `trial.json` too.
    pub files: BTreeMap<String, FileSum>,
}

impl AttemptFinished {
    /// The line that belongs to a stored record; `files` is what [`super::AttemptWriter::finish`] returned.
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
    /// Why, in words.
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
    /// Opens or creates a journal and reads it. A last line that a crash cut off is removed; everything before must be whole.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Malformed`] for a broken line that is not the last, or numbers with gaps.
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
        let (entries, good) = parse(path, &bytes)?;
        if good < bytes.len() {
            file.set_len(good as u64).at(path, "cut the torn last line off")?;
            file.sync_all().at(path, "sync")?;
            tracing::warn!(path = %path.display(), bytes = bytes.len() - good, "the last line of the journal was torn and is removed");
        }
        let last = entries.last().map_or(0, |e| e.number);
        let path = path.to_owned();
        Ok((Self { file, path, last }, entries))
    }

    /// Appends an event and waits until it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the line is then not counted as written, and is cut off again where that is possible.
    pub fn append(&mut self, event: JournalEvent) -> Result<Entry, StoreError> {
        let entry = Entry {
            number: self.last + 1,
            at: Timestamp::now(),
            event,
        };
        let mut line = serde_json::to_vec(&entry).map_err(|e| StoreError::malformed(&self.path, 0, e))?;
        line.push(b'\n');
        let before = self.file.metadata().at(&self.path, "look at")?.len();
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if written.is_err() {
            self.file.set_len(before).ok();
        }
        written.at(&self.path, "append")?;
        self.last = entry.number;
        Ok(entry)
    }
}

/// Reads a journal without opening it for writing; a torn last line is passed over.
///
/// # Errors
/// As [`Journal::open`].
pub fn read(path: &Path) -> Result<Vec<Entry>, StoreError> {
    let bytes = std::fs::read(path).at(path, "read")?;
    parse(path, &bytes).map(|(entries, _)| entries)
}

/// The entries, and how many bytes they take up.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Entry>, usize), StoreError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut good = 0;
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        let number = entries.len() as u64 + 1;
        let is_last = good + line.len() == bytes.len();
        match serde_json::from_slice::<Entry>(line) {
            Ok(entry) if entry.number == number && line.ends_with(b"\n") => entries.push(entry),
            Ok(entry) if line.ends_with(b"\n") => {
                let why = format!("this is event {} where {number} belongs", entry.number);
                return Err(StoreError::malformed(path, number, why));
            }
            _ if is_last => break,
            Ok(_) => break,
            Err(error) => return Err(StoreError::malformed(path, number, error)),
        }
        good += line.len();
    }
    Ok((entries, good))
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
    fn what_was_appended_is_read_and_the_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), 2);
        let (mut journal, entries) = Journal::open(&path).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].event, ended("1"));
        assert_eq!(journal.append(ended("more")).unwrap().number, 3);
        assert_eq!(read(&path).unwrap().len(), 3);
    }

    #[test]
    fn a_line_altered_in_the_middle_is_an_error_with_its_number() {
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
        assert!(error.contains("event 3 where 2 belongs"), "{error}");
    }

    proptest! {
        #[test]
        fn a_journal_cut_anywhere_keeps_its_whole_lines(cut in 0usize..1000) {
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
