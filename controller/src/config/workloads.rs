//! The workloads of a checked experiment.

use protocol::ids::Name;
use serde::{Deserialize, Serialize};

use super::jung::JungWorkload;

/// A workload of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its name in cells and reports; the kind's word by default.
    pub name: Name,
    /// What it is.
    pub kind: WorkloadKind,
}

/// The kinds of workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// Czipri's TCP service.
    Tcp(TcpWorkload),
    /// Fraga's IoT benchmark.
    Jung(Box<JungWorkload>),
    /// Czipri's UDP service.
    Udp(UdpWorkload),
}

/// What a workload and a load speak: only where it is the same they make a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speech {
    /// HTTP/1.1.
    #[default]
    Http,
    /// Numbered packets of UDP.
    Udp,
}

impl WorkloadKind {
    /// What it speaks.
    #[must_use]
    pub const fn speech(&self) -> Speech {
        match self {
            Self::Tcp(_) | Self::Jung(_) => Speech::Http,
            Self::Udp(_) => Speech::Udp,
        }
    }
}

/// A service that answers every packet with the same letters and the packet's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpWorkload {
    /// The port that it listens on.
    pub port: u16,
    /// How many letters a reply begins with; `None`: it answers with the packet itself.
    pub letters: Option<u32>,
    /// Sockets on the port, a thread each.
    pub sockets: u16,
    /// The receive buffer of each socket, bytes; `None`: the system's own.
    pub receive_buffer: Option<u32>,
}

/// A service that answers every HTTP request with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpWorkload {
    /// How many of the service are started at once, on ports in a row; the load goes to the first.
    pub copies: u16,
    /// The port that it listens on.
    pub port: u16,
    /// The length of the body, bytes.
    pub reply_bytes: u64,
}
