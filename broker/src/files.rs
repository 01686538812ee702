//! Small files, written whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::StorageError;

/// Writes a file so that a crash leaves the old content or the new, never a mixture.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(StorageError::at("write", path))
}

/// The content of a file, `None` if there is no such file.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StorageError::at("read", path)(e)),
    }
}

/// The decimal number in a file, `None` if there is no such file.
pub fn read_number(path: &Path) -> Result<Option<i64>, StorageError> {
    let Some(content) = read_optional(path)? else {
        return Ok(None);
    };
    let invalid = || StorageError::at("parse", path)(ErrorKind::InvalidData.into());
    String::from_utf8_lossy(&content)
        .trim()
        .parse()
        .map(Some)
        .map_err(|_| invalid())
}
