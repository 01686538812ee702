//! Files that are written completely or not at all, and JSON files with a format number.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{At, StoreError};

/// The format number of all JSON files of a run.
pub const FORMAT: u32 = 3;

/// Writes `bytes` to a temporary file, syncs it and renames it to `path`.
///
/// # Errors
/// [`StoreError::Io`]; `path` is then unchanged.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let result = write_synced(temporary, bytes)
        .and_then(|()| std::fs::rename(temporary, path).at(path, "rename to"))
        .and_then(|()| path.parent().map_or(Ok(()), sync_folder));
    if result.is_err() {
        std::fs::remove_file(temporary).ok();
    }
    result
}

/// Writes pretty-printed JSON with a final newline, like [`write()`].
///
/// # Errors
/// [`StoreError::Io`], and [`StoreError::Malformed`] if the value cannot be serialised.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| StoreError::malformed(path, 0, e))?;
    bytes.push(b'\n');
    write(path, &bytes)
}

/// Reads a JSON file.
///
/// # Errors
/// [`StoreError::Io`] and [`StoreError::Malformed`], with the line.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, StoreError> {
    let bytes = std::fs::read(path).at(path, "read")?;
    serde_json::from_slice(&bytes).map_err(|e| StoreError::malformed(path, e.line() as u64, e))
}

/// Reads a JSON file with a format number; `upgrade` converts a value of an earlier format.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Malformed`], and [`StoreError::Format`] for a newer format.
pub fn read_versioned<T: DeserializeOwned>(
    path: &Path,
    upgrade: fn(&mut Value) -> serde_json::Result<()>,
) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Number {
        format: u32,
    }
    let Number { format } = read_json(path)?;
    let upgraded = || {
        let mut value: Value = read_json(path)?;
        let upgraded = upgrade(&mut value).and_then(|()| serde_json::from_value(value));
        upgraded.map_err(|e| StoreError::malformed(path, 0, e))
    };
    match format {
        ..FORMAT => upgraded(),
        // The current format also has had fields that are read, but no longer written.
        FORMAT => read_json(path).or_else(|error| upgraded().map_err(|_| error)),
        later => Err(StoreError::Format {
            path: path.to_owned(),
            found: later,
            known: FORMAT,
        }),
    }
}

/// Syncs a directory, so that files created or renamed in it survive a power loss.
///
/// # Errors
/// [`StoreError::Io`].
pub fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)
        .and_then(|f| f.sync_all())
        .at(folder, "sync the directory")
}

/// Creates a file with this content and syncs it.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = File::create(path).at(path, "create")?;
    file.write_all(bytes).at(path, "write")?;
    file.sync_all().at(path, "sync")
}
