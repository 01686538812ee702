//! What can go wrong: with one request ([`ErrorKind`]), and with a whole load ([`LoadError`]).

use std::io;
use std::time::Duration;

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorKind {
    /// Nothing listens at the address.
    ConnectRefused,
    /// The connection was not up within the time-out.
    ConnectTimeout,
    /// No route to the address, or the network is down.
    Unreachable,
    /// The connection failed for another reason.
    ConnectFailed,
    /// Nothing was sent until the time-out: all connections that the plan allows were busy, or the
    /// generator itself was late; the lag of the others tells which.
    NotSent,
    /// The reply was not complete within the time-out.
    Timeout,
    /// The peer reset the connection.
    Reset,
    /// The connection was closed before the head of the reply was complete.
    ClosedEarly,
    /// The connection was closed in the middle of the body.
    ShortBody,
    /// The body is complete, and longer or shorter than expected.
    WrongLength,
    /// A status other than the expected one.
    WrongStatus,
    /// A byte of the body is not the expected one.
    WrongBody,
    /// The reply is not HTTP.
    Malformed,
    /// The head of the reply is longer than any engine reads.
    HeadTooLarge,
    /// Bytes followed the reply although nothing was asked.
    TrailingBytes,
    /// This process has no file descriptor left: the generator's own limit.
    FdExhausted,
    /// This machine has no local port left: the generator's own limit.
    AddressExhausted,
    /// The load was cancelled while the request was under way.
    Cancelled,
    /// Another failure of a system call.
    Other,
}

impl ErrorKind {
    /// Every kind, in the order of the error table.
    pub const ALL: [Self; 19] = [
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
    ];

    /// The kind of a word, as [`ErrorKind::name`] gives it.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The word for it in files and tables.
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
        }
    }

    /// Whether the generator and not the server is to blame, so that the trial says nothing of the server.
    #[must_use]
    pub fn is_own_limit(self) -> bool {
        matches!(self, Self::FdExhausted | Self::AddressExhausted | Self::Cancelled)
    }

    /// Whether no connection could be had.
    #[must_use]
    pub fn is_of_connecting(self) -> bool {
        matches!(
            self,
            Self::ConnectRefused
                | Self::ConnectTimeout
                | Self::Unreachable
                | Self::ConnectFailed
                | Self::FdExhausted
                | Self::AddressExhausted
        )
    }

    /// The kind of an error of `socket` or `connect`.
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

    /// The kind of an error of `read` or `write`.
    #[must_use]
    pub fn of_transfer(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) => Self::Reset,
            Some(libc::ETIMEDOUT) => Self::Timeout,
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN) => Self::Unreachable,
            _ => Self::Other,
        }
    }
}

/// Why a load could not be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The rate is not a positive number.
    #[error("rate {0} per second: it must be above 0 and finite")]
    Rate(f64),
    /// A time of the plan is of no use.
    #[error("{name} is {value:?}: it must be {must}")]
    Time {
        /// Which time.
        name: &'static str,
        /// What it is.
        value: Duration,
        /// What it must be.
        must: &'static str,
    },
    /// The path cannot stand in a request line.
    #[error("path {0:?}: it must begin with / and consist of printable ASCII without spaces")]
    Path(String),
    /// A method or a header field would break the request apart.
    #[error(
        "{0:?} cannot stand in the head of a request: methods are capitals (not HEAD), names letters, digits, - and _, values without line breaks"
    )]
    Field(String),
    /// A list of calls names one that does not exist, or a call a label that does not.
    #[error("{what} {found} is named, there are {known}")]
    Unknown {
        /// What is named.
        what: &'static str,
        /// Its place, from 0.
        found: usize,
        /// How many there are.
        known: usize,
    },
    /// A closed loop in which nobody does anything.
    #[error("{0}")]
    Users(&'static str),
    /// A search that has no room.
    #[error("a ramp goes from one rate to another that is not lower, with a resolution between 0 and 1")]
    Ramp,
    /// A pool without connections, or one that is larger than its own limit.
    #[error(
        "keep-alive pool of {pool} with at most {at_most} connections: 1 <= at_most and pool <= at_most are needed"
    )]
    Pool {
        /// Connections opened beforehand.
        pool: u32,
        /// Connections open at most.
        at_most: u32,
    },
    /// More files could be open than the process may have.
    #[error(
        "up to {needed} connections can be open at once, but this process may open {limit} files: \
         raise the hard limit (`ulimit -Hn {needed}`, or nofile in /etc/security/limits.conf or LimitNOFILE= of the unit), \
         shorten the time-out, or set a maximum of open connections"
    )]
    Files {
        /// Descriptors that the plan may need.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// More local ports could be in use than there are.
    #[error(
        "up to {needed} local ports to one address can be in use at once, but net.ipv4.ip_local_port_range leaves {available}: \
         widen it (`sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`), shorten the time-out, or set a maximum of open connections"
    )]
    Ports {
        /// Ports that the plan may need.
        needed: u64,
        /// Ports in the range.
        available: u64,
    },
    /// A number of packets that makes no stream.
    #[error("{packets} packets: there must be one for each thread at least, and {most} at most")]
    Packets {
        /// How many were ordered.
        packets: u64,
        /// The most there can be.
        most: u64,
    },
    /// A packet that UDP cannot carry, or that has no room for its number.
    #[error("packets of {size} bytes with replies of {reply} bytes: both must have 8 to 65507")]
    PacketSize {
        /// Bytes of a packet.
        size: usize,
        /// Bytes of its reply.
        reply: usize,
    },
    /// Nothing says when the next packet is due.
    #[error("packets need a pace, or a window of one packet for each thread at least")]
    Unpaced,
    /// A thread cannot be bound to its CPU.
    #[error("cannot pin a thread of the load generator to CPU {cpu}: {source}; choose CPUs out of {allowed}")]
    Pin {
        /// The CPU.
        cpu: usize,
        /// What the kernel said.
        source: io::Error,
        /// The CPUs this process may use, as the kernel writes them.
        allowed: String,
    },
    /// More threads than the engine knows to run.
    #[error("{0} CPUs are named, the engine runs at most {max} threads", max = super::control::MAX_THREADS)]
    Threads(usize),
    /// A system call that cannot fail for a reason of the load failed.
    #[error("the load generator cannot {what}: {source}")]
    System {
        /// What it wanted.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The log of the requests could not be written.
    #[error("{}: the log of the requests cannot be written there: {source}; free space, or set TMPDIR to a folder with 64 bytes for each request", folder.display())]
    Log {
        /// The folder.
        folder: std::path::PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another program is not there.
    #[error("{program} is missing: {remedy}")]
    Missing {
        /// Its name.
        program: String,
        /// How to get it.
        remedy: &'static str,
    },
    /// Another program failed, or wrote what cannot be read.
    #[error("{program} failed: {why}")]
    Program {
        /// Its name.
        program: String,
        /// What it said.
        why: String,
    },
    /// A thread of the engine panicked, which is a defect.
    #[error("a thread of the load generator panicked; this is a defect, please report it")]
    Panicked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_place_and_its_own_name() {
        let names: std::collections::HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
        assert!(ErrorKind::ALL.iter().enumerate().all(|(at, kind)| *kind as usize == at));
    }
}
