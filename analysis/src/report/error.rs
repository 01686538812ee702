//! Why a report could not be made.

use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder is none of a run.
    #[error("{}: this is not the folder of a run (no manifest.json); name one such as results/<experiment>/20261122T020102Z", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReportError {
    /// The folder could not be made.
    pub(super) fn folder(path: &Path, source: std::io::Error) -> Self {
        Self::Store(StoreError::Io {
            path: path.to_owned(),
            action: "make the folder",
            source,
        })
    }
}
