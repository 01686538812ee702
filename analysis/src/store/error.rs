//! What can go wrong with the files of a run, always with the path and what to do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Results could not be written, or not be read as what they should be.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}; {}", path.display(), remedy(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, an infinitive.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The content is not what the format says.
    #[error("{}:{line}: {why}; the file was altered or damaged: restore it, or move the folder away", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0: the file as a whole.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A later program wrote the file.
    #[error("{}: format {found} is not known, only up to {known}: use a newer controller", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The number it bears.
        found: u32,
        /// The highest number that this program knows.
        known: u32,
    },
    /// An attempt is never overwritten.
    #[error("{}: is already there, and results are never overwritten; remove it by hand if it is not wanted", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
}

impl StoreError {
    /// Whether it is about writing, that is the place and not the content.
    #[must_use]
    pub const fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. })
    }

    pub(crate) fn malformed(path: &Path, line: u64, why: impl ToString) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            line,
            why: why.to_string(),
        }
    }
}

/// Gives an `io::Error` its path and purpose.
pub(crate) trait At<T> {
    /// `self`, with the path and what was tried.
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

/// What a person does about an error of the file system.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free space there, or set `results` to a folder with more; what is finished stays, and the run can be resumed"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "make the folder writable for this user, or set `results` to another"
        }
        ErrorKind::NotFound => "name an existing folder",
        _ => "see to the file system below it",
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
