//! Small files that are replaced atomically.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::StorageError;

/// Replaces a file so that a crash leaves either the old or the new content.
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

/// The content of a file; `None` if it does not exist.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StorageError::at("read", path)(e)),
    }
}

/// The decimal number in a file; `None` if it does not exist.
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
