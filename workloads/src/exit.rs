//! Exit codes of `workload`, and the only place where an error is printed.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Why a workload ended other than by a signal that asked it to.
#[derive(Debug)]
pub enum Failure {
    /// The address to listen on cannot be had.
    Listen(SocketAddr, io::Error),
    /// An operating-system service the workload needs failed; the text says which.
    System(&'static str, io::Error),
    /// A service of Jung failed.
    #[cfg(feature = "jung")]
    Jung(crate::jung::JungError),
}

#[cfg(feature = "jung")]
impl From<crate::jung::JungError> for Failure {
    fn from(error: crate::jung::JungError) -> Self {
        match error {
            crate::jung::JungError::Listen(address, error) => Self::Listen(address, error),
            crate::jung::JungError::System(what, error) => Self::System(what, error),
            error => Self::Jung(error),
        }
    }
}

impl Failure {
    /// The documented exit code: 2 before the service was up, 1 afterwards.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Listen(..) => 2,
            Self::System(..) => 1,
            #[cfg(feature = "jung")]
            Self::Jung(error) => error.exit_code(),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(address, error) => {
                write!(f, "cannot listen on {address}: {error}: {}", remedy(*address, error))
            }
            Self::System(what, error) => write!(f, "{what}: {error}"),
            #[cfg(feature = "jung")]
            Self::Jung(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(_, error) | Self::System(_, error) => Some(error),
            #[cfg(feature = "jung")]
            Self::Jung(error) => Some(error),
        }
    }
}

/// What the user can do about an address that cannot be listened on.
fn remedy(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("stop what holds the port (`ss -ltnup 'sport = :{port}'` shows it) or choose another with --listen")
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has the address; choose one with --listen, or 0.0.0.0 for all".into()
        }
        io::ErrorKind::PermissionDenied => {
            format!("port {port} needs CAP_NET_BIND_SERVICE; choose one above 1023 with --listen")
        }
        _ => "choose another address with --listen".into(),
    }
}

/// Turns how a workload ended into the process's exit code, and says why on standard error.
#[must_use]
pub fn code(ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("workload: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
