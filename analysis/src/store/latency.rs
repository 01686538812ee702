//! Reading `latency.hdr`, whose form is [`loader::latency`].

use std::path::Path;

use loader::Histograms;
use loader::latency::from_log;

use super::error::{At, StoreError};

/// Reads `latency.hdr`.
///
/// # Errors
/// [`StoreError::Io`] and [`StoreError::Malformed`].
pub fn read(path: &Path) -> Result<Histograms, StoreError> {
    let bytes = std::fs::read(path).at(path, "read")?;
    from_log(&bytes).map_err(|why| StoreError::malformed(path, 0, why))
}
