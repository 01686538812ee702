//! Files that are either whole or not there.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{At, StoreError};
use super::record::FORMAT;

/// Writes `bytes` to `path` by way of a neighbour that is renamed when it is whole and on the disk.
///
/// # Errors
/// [`StoreError::Io`]; `path` is then as it was before.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let result = write_synced(temporary, bytes)
        .and_then(|()| std::fs::rename(temporary, path).at(path, "replace the file"))
        .and_then(|()| path.parent().map_or(Ok(()), sync_folder));
    if result.is_err() {
        std::fs::remove_file(temporary).ok();
    }
    result
}

/// [`write()`] of pretty JSON with a newline at its end.
///
/// # Errors
/// [`StoreError::Io`], and [`StoreError::Malformed`] if the value has no JSON form.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| StoreError::malformed(path, 0, e))?;
    bytes.push(b'\n');
    write(path, &bytes)
}

/// Reads a JSON file.
///
/// # Errors
/// [`StoreError::Io`] and [`StoreError::Malformed`], the latter with the line.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, StoreError> {
    let bytes = std::fs::read(path).at(path, "read")?;
    serde_json::from_slice(&bytes).map_err(|e| StoreError::malformed(path, e.line() as u64, e))
}

/// Reads a JSON file that has the number of its format, one of format 2 by way of `upgrade`.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Malformed`], and [`StoreError::Format`] for one of a later program.
pub fn read_versioned<T: DeserializeOwned>(
    path: &Path,
    upgrade: fn(&mut Value) -> serde_json::Result<()>,
) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Number {
        format: u32,
    }
    let Number { format } = read_json(path)?;
    match format {
        ..FORMAT => {
            let mut value: Value = read_json(path)?;
            let upgraded = upgrade(&mut value).and_then(|()| serde_json::from_value(value));
            upgraded.map_err(|e| StoreError::malformed(path, 0, e))
        }
        FORMAT => read_json(path),
        later => Err(StoreError::Format {
            path: path.to_owned(),
            found: later,
            known: FORMAT,
        }),
    }
}

/// Makes names that were created or renamed in a folder survive a power loss.
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
        .at(folder, "sync the folder")
}

/// Creates a file with this content and waits for the disk.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = File::create(path).at(path, "create")?;
    file.write_all(bytes).at(path, "write")?;
    file.sync_all().at(path, "sync")
}
