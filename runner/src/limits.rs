//! What this process may use: as many open files as the system lets it, since the sampler keeps those of everything that runs open.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Why the limit stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// What children get could not be settled first.
    #[error(
        "the limit of open files cannot be read ({0}): it stays, and the sampler opens files anew that it has no room for"
    )]
    Unread(#[from] std::io::Error),
    /// The system does not let it.
    #[error(
        "the limit of open files cannot be raised to {hard} ({error}): it stays, and the sampler opens files anew that it has no room for"
    )]
    Refused {
        /// The hard limit.
        hard: u64,
        /// What the system says.
        error: Errno,
    },
}

/// Raises the limit of open files to the most that is allowed without a privilege, the hard limit. Services get the limit as it was.
///
/// # Errors
/// [`LimitError`]; the limit is as it was.
pub fn raise_open_files() -> Result<u64, LimitError> {
    deploy::process::keep_open_files_of_children()?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(std::io::Error::from)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|error| LimitError::Refused { hard, error })?;
    Ok(hard)
}
