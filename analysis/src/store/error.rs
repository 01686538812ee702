//! Errors of reading and writing a run, with the path and the remedy.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Results could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system reported an error.
    #[error("{}: cannot {action}: {source}; {}", path.display(), remedy(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, an infinitive.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The content does not match the format.
    #[error("{}:{line}: {why}; the file was altered or damaged: restore it, or move the directory away", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 for the whole file.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// A newer program wrote the file.
    #[error("{}: unknown format {found} (known up to {known}); use a newer controller", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The file's format.
        found: u32,
        /// The highest known format.
        known: u32,
    },
    /// Attempts are never overwritten.
    #[error("{}: already exists, and results are never overwritten; remove it if you do not need it", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
}

impl StoreError {
    pub(crate) fn malformed(path: &Path, line: u64, why: impl ToString) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            line,
            why: why.to_string(),
        }
    }
}

/// Adds path and action to an `io::Error`.
pub(crate) trait At<T> {
    /// Converts the error.
    fn at(self, path: &Path, action: &'static str) -> Result<T, StoreError>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, path: &Path, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io {
            path: path.to_owned(),
            action,
            source,
        })
    }
}

/// The remedy for an error of the file system.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free space there, or set `results` to another disk; finished attempts are kept, and the run can be resumed"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "make the directory writable for this user, or set `results` to another"
        }
        ErrorKind::NotFound => "name an existing directory",
        _ => "check the file system",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_names_the_path_and_the_remedy() {
        let full: std::io::Result<()> = Err(ErrorKind::StorageFull.into());
        let text = full
            .at(Path::new("/r/journal.jsonl"), "append")
            .unwrap_err()
            .to_string();
        assert!(text.starts_with("/r/journal.jsonl: cannot append"), "{text}");
        assert!(text.contains("free space"), "{text}");
    }
}
