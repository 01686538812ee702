//! Errors of one request ([`ErrorKind`]) and of a whole load ([`LoadError`]).

use std::io;
use std::time::Duration;

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorKind {
    /// The connection was refused.
    ConnectRefused,
    /// The connection was not established within the time-out.
    ConnectTimeout,
    /// No route to the host, or the network is down.
    Unreachable,
    /// Another connection error.
    ConnectFailed,
    /// Not sent within the time-out: all permitted connections were busy, or the load generator was late. The lag of the other requests shows which.
    NotSent,
    /// The reply was not complete within the time-out.
    Timeout,
    /// The peer reset the connection.
    Reset,
    /// The connection was closed before the reply's header was complete.
    ClosedEarly,
    /// The connection was closed before the body was complete.
    ShortBody,
    /// The body has an unexpected length.
    WrongLength,
    /// Unexpected status.
    WrongStatus,
    /// Unexpected body.
    WrongBody,
    /// The reply is not valid HTTP.
    Malformed,
    /// The reply's header exceeds the size limit.
    HeadTooLarge,
    /// Unexpected bytes after the reply.
    TrailingBytes,
    /// Out of file descriptors: a limit of the load generator.
    FdExhausted,
    /// Out of local ports: a limit of the load generator.
    AddressExhausted,
    /// The load was cancelled while the request was outstanding.
    Cancelled,
    /// Another system call error.
    Other,
    /// TLS: the handshake failed, e.g. because the certificate is not trusted, or the peer broke the protocol.
    Tls,
}

impl ErrorKind {
    /// Every kind, in the order of the error table.
    pub const ALL: [Self; 20] = [
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::Unreachable,
        Self::ConnectFailed,
        Self::NotSent,
        Self::Timeout,
        Self::Reset,
        Self::ClosedEarly,
        Self::ShortBody,
        Self::WrongLength,
        Self::WrongStatus,
        Self::WrongBody,
        Self::Malformed,
        Self::HeadTooLarge,
        Self::TrailingBytes,
        Self::FdExhausted,
        Self::AddressExhausted,
        Self::Cancelled,
        Self::Other,
        Self::Tls,
    ];

    /// The kind with this [`ErrorKind::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect-refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::Unreachable => "unreachable",
            Self::ConnectFailed => "connect-failed",
            Self::NotSent => "not-sent",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::ClosedEarly => "closed-early",
            Self::ShortBody => "short-body",
            Self::WrongLength => "wrong-length",
            Self::WrongStatus => "wrong-status",
            Self::WrongBody => "wrong-body",
            Self::Malformed => "malformed",
            Self::HeadTooLarge => "head-too-large",
            Self::TrailingBytes => "trailing-bytes",
            Self::FdExhausted => "fd-exhausted",
            Self::AddressExhausted => "address-exhausted",
            Self::Cancelled => "cancelled",
            Self::Other => "other",
            Self::Tls => "tls",
        }
    }

    /// Whether the cause is the load generator, so that the result says nothing about the server.
    #[must_use]
    pub fn is_local(self) -> bool {
        matches!(self, Self::FdExhausted | Self::AddressExhausted | Self::Cancelled)
    }

    /// Whether no connection could be established.
    #[must_use]
    pub fn is_connect_error(self) -> bool {
        matches!(
            self,
            Self::ConnectRefused
                | Self::ConnectTimeout
                | Self::Unreachable
                | Self::ConnectFailed
                | Self::FdExhausted
                | Self::AddressExhausted
                | Self::Tls
        )
    }

    /// Classifies an error of `socket` or `connect`.
    #[must_use]
    pub fn of_connect(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Self::ConnectRefused,
            Some(libc::ETIMEDOUT) => Self::ConnectTimeout,
            Some(libc::ECONNRESET) => Self::Reset,
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN) => Self::Unreachable,
            Some(libc::EMFILE | libc::ENFILE) => Self::FdExhausted,
            Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE) => Self::AddressExhausted,
            _ => Self::ConnectFailed,
        }
    }

    /// Classifies an error of `read` or `write`.
    #[must_use]
    pub fn of_transfer(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) => Self::Reset,
            Some(libc::ETIMEDOUT) => Self::Timeout,
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN) => Self::Unreachable,
            // No system call returns this; it is an error of the TLS library.
            None if error.kind() == io::ErrorKind::InvalidData => Self::Tls,
            _ => Self::Other,
        }
    }
}

/// Why a load cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The rate is not positive and finite.
    #[error("invalid rate {0} per second: it must be positive and finite")]
    Rate(f64),
    /// A duration of the plan is out of range.
    #[error("{name} is {value:?}: it must be {must}")]
    Time {
        /// The name of the duration.
        name: &'static str,
        /// Its value.
        value: Duration,
        /// The constraint.
        must: &'static str,
    },
    /// The path is not valid in a request line.
    #[error("invalid path {0:?}: it must begin with / and consist of printable ASCII without spaces")]
    Path(String),
    /// A method or header field is not valid in a request.
    #[error(
        "{0:?} is not valid in a request header: use upper-case methods, field names of letters, digits, - and _ that the load generator does not set itself, \
         and values without control characters"
    )]
    Field(String),
    /// A placeholder is unknown or incorrect.
    #[error("the placeholder {{{given}}} must {must}")]
    Placeholder {
        /// What is between its braces.
        given: String,
        /// What it must be.
        must: &'static str,
    },
    /// An expectation cannot be checked.
    #[error("{what} {why}")]
    Expect {
        /// The expectation.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("{what} {why}")]
    Tls {
        /// The part of it.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// A script refers to an unknown call, or a call to an unknown label.
    #[error("{what} {found} does not exist: there are {known}")]
    Unknown {
        /// What is referred to.
        what: &'static str,
        /// Its index, from 0.
        found: usize,
        /// How many exist.
        known: usize,
    },
    /// An invalid closed loop.
    #[error("{0}")]
    Users(&'static str),
    /// Invalid bounds of a search.
    #[error("invalid ramp: `to` must not be below `from`, and the resolution must be between 0 and 1")]
    Ramp,
    /// An empty connection pool, or one that exceeds its own limit.
    #[error(
        "keep-alive pool of {pool} with at most {at_most} connections: at_most >= 1 and pool <= at_most are required"
    )]
    Pool {
        /// Connections opened in advance.
        pool: u32,
        /// Maximum number of connections.
        at_most: u32,
    },
    /// The plan may need more file descriptors than permitted.
    #[error(
        "the load can need {needed} open files, but this process may open {limit}: \
         raise the hard limit (`ulimit -Hn {needed}`, or nofile in /etc/security/limits.conf or LimitNOFILE= of the unit), \
         shorten the time-out, or limit the number of connections"
    )]
    Files {
        /// File descriptors that the plan may need.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// The plan may need more local ports than available.
    #[error(
        "the load can need {needed} local ports to one address, but net.ipv4.ip_local_port_range leaves {available}: \
         widen it (`sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`), shorten the time-out, or limit the number of connections"
    )]
    Ports {
        /// Local ports that the plan may need.
        needed: u64,
        /// Ports in the range.
        available: u64,
    },
    /// The number of packets is out of range.
    #[error("{packets} packets: at least one per thread and at most {most} are required")]
    Packets {
        /// Requested packets.
        packets: u64,
        /// The maximum.
        most: u64,
    },
    /// A packet is too large for UDP or too small for its number.
    #[error("packets of {size} bytes with replies of {reply} bytes: both must be 8 to 65507 bytes")]
    PacketSize {
        /// Size of a packet, bytes.
        size: usize,
        /// Size of its reply, bytes.
        reply: usize,
    },
    /// Neither a pace nor a sufficient window.
    #[error("a pace, or a window of at least one packet per thread, is required")]
    Unpaced,
    /// A thread cannot be pinned.
    #[error("cannot pin a thread of the load generator to CPU {cpu}: {source}; choose from CPUs {allowed}")]
    Pin {
        /// The CPU.
        cpu: usize,
        /// The system's error.
        source: io::Error,
        /// The CPU affinity of this process.
        allowed: String,
    },
    /// Too many CPUs.
    #[error("{0} CPUs are given, but an engine runs at most {max} threads", max = super::control::MAX_THREADS)]
    Threads(usize),
    /// A system call failed for a reason that is independent of the load.
    #[error("the load generator cannot {what}: {source}")]
    System {
        /// The operation.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The request log could not be written.
    #[error("{}: cannot write the request log there: {source}; free space, or set TMPDIR to a folder with 64 bytes per request", folder.display())]
    Log {
        /// The folder.
        folder: std::path::PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// An external program is not installed.
    #[error("{program} is missing: {remedy}")]
    Missing {
        /// Its name.
        program: String,
        /// How to install it.
        remedy: String,
    },
    /// An external program failed, or its output could not be parsed.
    #[error("{program} failed: {why}")]
    Program {
        /// Its name.
        program: String,
        /// The cause.
        why: String,
    },
    /// A thread panicked.
    #[error("a thread of the load generator panicked; this is a bug, please report it")]
    Panicked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_consecutive_values_and_unique_names() {
        let names: std::collections::HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
        assert!(ErrorKind::ALL.iter().enumerate().all(|(at, kind)| *kind as usize == at));
    }
}
