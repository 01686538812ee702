//! Errors and exit codes of `workload`.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Why a workload failed.
#[derive(Debug)]
pub enum Failure {
    /// Binding the listen address failed.
    Listen(SocketAddr, io::Error),
    /// An operating system call failed; the text names the operation.
    System(&'static str, io::Error),
    /// A Jung service failed.
    #[cfg(feature = "jung")]
    Jung(crate::jung::JungError),
}

#[cfg(feature = "jung")]
impl From<crate::jung::JungError> for Failure {
    fn from(error: crate::jung::JungError) -> Self {
        match error {
            crate::jung::JungError::Listen(address, error) => Self::Listen(address, error),
            crate::jung::JungError::System(operation, error) => Self::System(operation, error),
            error => Self::Jung(error),
        }
    }
}

impl Failure {
    /// The exit code: 2 if the service failed to start, 1 if it failed later.
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
            Self::System(operation, error) => write!(f, "{operation}: {error}"),
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

/// How to fix a listen address that cannot be bound.
fn remedy(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "stop the process that uses the port (see `ss -ltnup 'sport = :{port}'`) or choose another with --listen"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has this address; choose another with --listen, or 0.0.0.0 for all".into()
        }
        io::ErrorKind::PermissionDenied => {
            format!("port {port} requires CAP_NET_BIND_SERVICE; choose a port above 1023 with --listen")
        }
        _ => "choose another address with --listen".into(),
    }
}

/// The exit code for a result; prints an error to stderr.
#[must_use]
pub fn code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("workload: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
