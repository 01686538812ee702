//! Why a frame was refused.

use std::io;
use std::time::Duration;

/// A frame that is not answered; its connection is closed and a line logged.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length field is negative.
    #[error("frame length {0} is negative")]
    NegativeLength(i32),
    /// The length field is over the limit; also what an HTTP client's first bytes look like.
    #[error("frame of {length} bytes is longer than the limit of {limit}")]
    TooLong {
        /// Bytes announced.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Too short for a request header.
    #[error("frame of {0} bytes is shorter than a request header")]
    UnderHeader(usize),
    /// The announced bytes did not come.
    #[error("frame of {length} bytes was not complete after {after:?}")]
    Slow {
        /// Bytes announced.
        length: usize,
        /// How long the broker waited.
        after: Duration,
    },
    /// An API that this broker does not speak.
    #[error("api key {0} is not spoken here")]
    UnknownKey(i16),
    /// An API that this broker speaks, but not in this version.
    #[error("api key {key} is spoken in versions {min} to {max}, not {version}")]
    UnsupportedVersion {
        /// The API key.
        key: i16,
        /// The version asked for.
        version: i16,
        /// The oldest version spoken.
        min: i16,
        /// The newest version spoken.
        max: i16,
    },
    /// The body does not have the form its key and version demand.
    #[error("api key {key} version {version}: {problem}")]
    Malformed {
        /// The API key.
        key: i16,
        /// The version.
        version: i16,
        /// What is wrong, and where.
        problem: String,
    },
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
}
