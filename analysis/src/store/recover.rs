//! What a crash leaves behind, and how it is put in order before a run goes on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::attempt::{TEMPORARY, TRIAL};
use super::digest::FileSum;
use super::error::{At, StoreError};
use super::journal::{AttemptFinished, Entry, Journal, JournalEvent};
use super::record::TrialRecord;
use super::run::RunFolder;

/// Removes half-written attempts; enters whole ones that the journal does not name yet, since a crash can fall between the two.
pub(super) fn recover(run: &RunFolder, journal: &mut Journal, entries: &mut Vec<Entry>) -> Result<(), StoreError> {
    let known: BTreeSet<String> = entries.iter().filter_map(folder_of).collect();
    for cell in folders(run.path())? {
        for attempt in folders(&cell)? {
            if name(&attempt).starts_with(TEMPORARY) {
                fs::remove_dir_all(&attempt).at(&attempt, "remove what a crash left half-written")?;
            } else if !known.contains(&format!("{}/{}", name(&cell), name(&attempt))) {
                entries.extend(adopt(&attempt, journal)?);
            }
        }
    }
    Ok(())
}

/// Enters a whole attempt into the journal; `None` if the folder is none.
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
                "it is not what trial.json says was written",
            ));
        }
    }
    let mut files = record.files.clone();
    files.insert(TRIAL.to_owned(), FileSum::of_file(&path)?);
    let event = JournalEvent::AttemptFinished(AttemptFinished::of(&record, files));
    journal.append(event).map(Some)
}

/// The folder of the attempt that a line ends.
fn folder_of(entry: &Entry) -> Option<String> {
    match &entry.event {
        JournalEvent::AttemptFinished(ended) => Some(ended.key.folder()),
        _ => None,
    }
}

/// The folders in a folder, sorted.
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
