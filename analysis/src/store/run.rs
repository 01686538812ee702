//! The directory of a run: `results/<experiment>/<run>/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::atomic;
use super::attempt::{AttemptWriter, TEMPORARY, TRIAL};
use super::digest::FileSum;
use super::error::{At, StoreError};
use super::format_2;
use super::journal::{AttemptFinished, Entry, Journal, JournalEvent, RunStarted};
use super::manifest::Manifest;
use super::record::{AttemptKey, RunId, TrialRecord};

/// The directory of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Creates the directory `<results>/<experiment>/<run>/`, assigns the run id to the manifest, writes `manifest.json`
    /// and starts the journal.
    ///
    /// # Errors
    /// [`StoreError::Io`], e.g. if `results` cannot be created or written.
    pub fn create(results: &Path, manifest: &mut Manifest) -> Result<(Self, Journal), StoreError> {
        let parent = results.join(manifest.experiment.name.as_str());
        fs::create_dir_all(&parent).at(&parent, "create the directory")?;
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

    /// Opens the directory of an interrupted run: removes incomplete attempts, adds complete ones that the journal does not contain
    /// yet, and records that the run is resumed.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Malformed`] and [`StoreError::Format`]: a damaged run is not resumed.
    pub fn resume(path: &Path) -> Result<(Self, Manifest, Journal, Vec<Entry>), StoreError> {
        let folder = Self::at(path);
        let manifest = folder.manifest()?;
        let (mut journal, mut entries) = Journal::open(&folder.journal_path())?;
        folder.check_manifest(&entries)?;
        folder.recover(&mut journal, &mut entries)?;
        entries.push(journal.append(JournalEvent::RunResumed(folder.started(&manifest)?))?);
        Ok((folder, manifest, journal, entries))
    }

    /// The directory at this path; nothing is read.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the journal.
    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// The path of the manifest.
    #[must_use]
    pub fn manifest_path(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// Reads the manifest.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Malformed`], and [`StoreError::Format`] for a newer format.
    pub fn manifest(&self) -> Result<Manifest, StoreError> {
        atomic::read_versioned(&self.manifest_path(), format_2::upgrade_manifest)
    }

    /// The path of an attempt.
    #[must_use]
    pub fn attempt_path(&self, key: &AttemptKey) -> PathBuf {
        self.path.join(key.folder())
    }

    /// Starts writing an attempt.
    ///
    /// # Errors
    /// [`StoreError::Io`], and [`StoreError::Exists`] if it already exists.
    pub fn begin(&self, key: &AttemptKey) -> Result<AttemptWriter, StoreError> {
        AttemptWriter::begin(&self.attempt_path(key))
    }

    /// Removes incomplete attempts, and adds complete ones that the journal does not contain yet: a crash can fall between the two.
    fn recover(&self, journal: &mut Journal, entries: &mut Vec<Entry>) -> Result<(), StoreError> {
        let known: BTreeSet<String> = entries.iter().filter_map(folder_of).collect();
        for cell in folders(&self.path)? {
            for attempt in folders(&cell)? {
                if name(&attempt).starts_with(TEMPORARY) {
                    fs::remove_dir_all(&attempt).at(&attempt, "remove the incomplete attempt")?;
                } else if !known.contains(&format!("{}/{}", name(&cell), name(&attempt))) {
                    entries.extend(adopt(&attempt, journal)?);
                }
            }
        }
        Ok(())
    }

    /// The manifest must not have changed since the run began.
    fn check_manifest(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let now = FileSum::of_file(&self.manifest_path())?.sha256;
        let recorded = entries.iter().find_map(|e| match &e.event {
            JournalEvent::RunStarted(started) => Some(&started.manifest_sha256),
            _ => None,
        });
        match recorded {
            Some(sum) if *sum != now => {
                let why = "its SHA-256 differs from that in the journal: it was altered since the run began";
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

/// Creates a directory named after `time` or the next free second.
fn claim(parent: &Path, time: Timestamp) -> Result<(RunId, PathBuf), StoreError> {
    let mut time = time;
    loop {
        let id = RunId::at(time);
        let path = parent.join(id.to_string());
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                time = time.saturating_add(jiff::SignedDuration::from_secs(1)).unwrap_or(time);
            }
            result => return result.at(&path, "create the directory").map(|()| (id, path)),
        }
    }
}

/// Adds a complete attempt to the journal; `None` if the directory is not an attempt.
fn adopt(folder: &Path, journal: &mut Journal) -> Result<Option<Entry>, StoreError> {
    let path = folder.join(TRIAL);
    if !path.exists() {
        return Ok(None);
    }
    let record = TrialRecord::read(&path)?;
    for (file, sum) in &record.files {
        let file = folder.join(file);
        if FileSum::of_file(&file)? != *sum {
            return Err(StoreError::malformed(
                &file,
                0,
                "its checksum differs from that in trial.json",
            ));
        }
    }
    let mut files = record.files.clone();
    files.insert(TRIAL.to_owned(), FileSum::of_file(&path)?);
    let event = JournalEvent::AttemptFinished(AttemptFinished::of(&record, files));
    journal.append(event).map(Some)
}

/// The directory of the attempt that an entry ends.
fn folder_of(entry: &Entry) -> Option<String> {
    match &entry.event {
        JournalEvent::AttemptFinished(ended) => Some(ended.key.folder()),
        _ => None,
    }
}

/// The subdirectories of a directory, sorted.
fn folders(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for item in fs::read_dir(path).at(path, "list")? {
        let item = item.at(path, "list")?.path();
        if item.is_dir() {
            found.push(item);
        }
    }
    found.sort();
    Ok(found)
}

/// The last part of a path.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_unique_utc_times() {
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
