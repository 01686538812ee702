//! Errors outside the protocol: startup and storage.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why a broker could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No listener was configured.
    #[error("no listener: give at least one address to listen on, e.g. 127.0.0.1:9092")]
    NoListener,
    /// The address is in use or not local.
    #[error("cannot listen on {bind}: {reason} (is another broker running? port 0 picks a free port)")]
    Listen {
        /// The requested address.
        bind: SocketAddr,
        /// The underlying error.
        reason: io::Error,
    },
    /// An advertised address is not `host:port`.
    #[error("invalid advertised address {0:?}: expected host:port, e.g. lab1.example:9092")]
    Advertise(String),
    /// Another broker uses the data directory; two would corrupt each other's logs.
    #[error("{0} is in use by another broker: stop it or choose another data directory")]
    Locked(PathBuf),
    /// A limit is so small that every request would be refused.
    #[error("{key} = {value} is too small: use at least {minimum}")]
    TooSmall {
        /// Name of the field of [`Config`](crate::Config).
        key: &'static str,
        /// The configured value.
        value: usize,
        /// The smallest value that works.
        minimum: usize,
    },
    /// The data directory cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// An operation on the data directory failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}: {reason}")]
pub struct StorageError {
    /// The failed operation, for example `append to`.
    pub operation: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The underlying error, for example a full disk.
    pub reason: io::Error,
}

impl StorageError {
    /// For `map_err`: adds the operation and the path to an I/O error.
    pub fn at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
        let path = path.to_owned();
        move |reason| StorageError {
            operation,
            path,
            reason,
        }
    }
}
