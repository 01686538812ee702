//! What can go wrong outside the protocol: starting, and the files.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why a broker could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No listener was configured.
    #[error("no listener: give at least one address to listen on, e.g. 127.0.0.1:9092")]
    NoListener,
    /// The address is taken or not ours.
    #[error("cannot listen on {bind}: {reason} (is another broker running? port 0 picks a free one)")]
    Listen {
        /// The address asked for.
        bind: SocketAddr,
        /// The system's reason.
        reason: io::Error,
    },
    /// An advertised address is not `host:port`.
    #[error("advertised address {0:?} is not host:port, e.g. lab1.example:9092")]
    Advertise(String),
    /// A second broker on the same folder would destroy the first one's logs.
    #[error("{0} is in use by another broker: stop it or choose another data folder")]
    Locked(PathBuf),
    /// A limit that would refuse every request.
    #[error("{key} = {value} is too small: use at least {least}")]
    TooSmall {
        /// Name of the field of [`Config`](crate::Config).
        key: &'static str,
        /// The value given.
        value: usize,
        /// The smallest value that works.
        least: usize,
    },
    /// The data folder cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// An operation on the data folder failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}: {reason}")]
pub struct StorageError {
    /// The verb, for example `append to`.
    pub what: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's reason, for example that the disk is full.
    pub reason: io::Error,
}

impl StorageError {
    /// For `map_err`: attaches the verb and the path to an I/O error.
    pub fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
        let path = path.to_owned();
        move |reason| StorageError { what, path, reason }
    }
}
