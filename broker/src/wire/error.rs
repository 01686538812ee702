//! Frame errors.

use std::io;
use std::time::Duration;

/// Why a frame is invalid. The connection is closed and the error is logged.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length field is negative.
    #[error("frame length {0} is negative")]
    NegativeLength(i32),
    /// The length exceeds the limit. The first bytes of an HTTP request look like this.
    #[error("frame of {length} bytes exceeds the limit of {limit} bytes (max_frame)")]
    TooLong {
        /// Announced length in bytes.
        length: usize,
        /// Maximum length in bytes.
        limit: usize,
    },
    /// The frame is shorter than a request header.
    #[error("frame of {0} bytes is shorter than a request header")]
    TooShort(usize),
    /// The frame did not arrive completely in time.
    #[error("frame of {length} bytes is incomplete after {after:?}")]
    Timeout {
        /// Announced length in bytes.
        length: usize,
        /// How long the broker waited.
        after: Duration,
    },
    /// The API is not supported.
    #[error("unsupported api key {0}")]
    UnknownKey(i16),
    /// The version of the API is not supported.
    #[error("unsupported version {version} of api key {key}: versions {min} to {max} are supported")]
    UnsupportedVersion {
        /// The API key.
        key: i16,
        /// The requested version.
        version: i16,
        /// The oldest supported version.
        min: i16,
        /// The newest supported version.
        max: i16,
    },
    /// The header or body does not match the schema of its key and version.
    #[error("api key {key} version {version}: {reason}")]
    Malformed {
        /// The API key.
        key: i16,
        /// The version.
        version: i16,
        /// What is wrong, and where.
        reason: String,
    },
    /// I/O error on the connection.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
}
