//! The folder of a run: `results/<experiment>/<run>/`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::atomic;
use super::attempt::AttemptWriter;
use super::digest::FileSum;
use super::error::{At, StoreError};
use super::format_2;
use super::journal::{Entry, Journal, JournalEvent, RunStarted};
use super::manifest::Manifest;
use super::record::AttemptKey;
use super::recover;

/// The name of a run: the UTC time of its start, `20261122T020102Z`; of two in one second the later moves on by a second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

const PATTERN: &str = "%Y%m%dT%H%M%SZ";

impl RunId {
    /// The name for a start at this time.
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        Self(time.strftime(PATTERN).to_string())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match DateTime::strptime(PATTERN, text) {
            Ok(_) if text.len() == 16 => Ok(Self(text.to_owned())),
            _ => Err(format!("{text:?} is not the name of a run such as 20261122T020102Z")),
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

/// The folder of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder `<results>/<experiment>/<run>/` under a name of its own, which is put into the manifest, writes `manifest.json`
    /// and begins the journal.
    ///
    /// # Errors
    /// [`StoreError::Io`], first of all when `results` cannot be made or written.
    pub fn create(results: &Path, manifest: &mut Manifest) -> Result<(Self, Journal), StoreError> {
        let parent = results.join(manifest.experiment.name.as_str());
        fs::create_dir_all(&parent).at(&parent, "make the folder")?;
        let (id, path) = claim(&parent, manifest.started)?;
        atomic::sync_folder(&parent)?;
        manifest.run = id;
        let folder = Self { path };
        atomic::write_json(&folder.manifest_path(), manifest)?;
        let (mut journal, _) = Journal::open(&folder.journal_path())?;
        let started = folder.started(manifest)?;
        journal.append(JournalEvent::RunStarted(started))?;
        Ok((folder, journal))
    }

    /// Opens the folder of an earlier run for going on with it: removes what a crash left half-written, takes up attempts that were whole but
    /// not yet in the journal, and notes that the run is resumed.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Malformed`] and [`StoreError::Format`]: a damaged run is not gone on with.
    pub fn resume(path: &Path) -> Result<(Self, Manifest, Journal, Vec<Entry>), StoreError> {
        let folder = Self::at(path);
        let manifest = folder.manifest()?;
        let (mut journal, mut entries) = Journal::open(&folder.journal_path())?;
        folder.check_manifest(&entries)?;
        recover::recover(&folder, &mut journal, &mut entries)?;
        entries.push(journal.append(JournalEvent::RunResumed(folder.started(&manifest)?))?);
        Ok((folder, manifest, journal, entries))
    }

    /// The folder at this path, without looking.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the journal is.
    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// Where the manifest is.
    #[must_use]
    pub fn manifest_path(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// Reads the manifest.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Malformed`], and [`StoreError::Format`] for one of a later program.
    pub fn manifest(&self) -> Result<Manifest, StoreError> {
        atomic::read_versioned(&self.manifest_path(), format_2::upgrade_manifest)
    }

    /// The folder of an attempt.
    #[must_use]
    pub fn attempt_path(&self, key: &AttemptKey) -> PathBuf {
        self.path.join(key.folder())
    }

    /// Begins to write an attempt.
    ///
    /// # Errors
    /// [`StoreError::Io`], and [`StoreError::Exists`] if it is already there.
    pub fn begin(&self, key: &AttemptKey) -> Result<AttemptWriter, StoreError> {
        AttemptWriter::begin(&self.attempt_path(key))
    }

    /// The plan of a run that goes on must be the one that it began with.
    fn check_manifest(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let now = FileSum::of_file(&self.manifest_path())?.sha256;
        let told = entries.iter().find_map(|e| match &e.event {
            JournalEvent::RunStarted(started) => Some(&started.manifest_sha256),
            _ => None,
        });
        match told {
            Some(sum) if *sum != now => {
                let why = "its SHA-256 is not the one that the journal bears: it was altered since the run began";
                Err(StoreError::malformed(&self.manifest_path(), 0, why))
            }
            _ => Ok(()),
        }
    }

    fn started(&self, manifest: &Manifest) -> Result<RunStarted, StoreError> {
        Ok(RunStarted {
            controller_version: manifest.controller.version.clone(),
            manifest_sha256: FileSum::of_file(&self.manifest_path())?.sha256,
        })
    }
}

/// Makes a folder named after `time` or the first free second after it.
fn claim(parent: &Path, time: Timestamp) -> Result<(RunId, PathBuf), StoreError> {
    let mut time = time;
    loop {
        let id = RunId::at(time);
        let path = parent.join(&id.0);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                time = time.saturating_add(jiff::SignedDuration::from_secs(1)).unwrap_or(time);
            }
            result => return result.at(&path, "make the folder").map(|()| (id, path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_utc_times_and_unique() {
        let time: Timestamp = "2026-11-22T02:01:02.9Z".parse().unwrap();
        assert_eq!(RunId::at(time).to_string(), "20261122T020102Z");
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(claim(folder.path(), time).unwrap().0.to_string(), "20261122T020102Z");
        assert_eq!(claim(folder.path(), time).unwrap().0.to_string(), "20261122T020103Z");
        assert!("20261122T020102Z".parse::<RunId>().is_ok());
        for bad in ["", "20261322T020102Z", "../20261122T02Z", "20261122T020102Zx"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
