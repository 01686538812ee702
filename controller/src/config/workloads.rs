//! The workloads and loads of a checked experiment.

use protocol::ids::Name;
use protocol::load::{LoadSpec, Transport};
use protocol::spec::CpuSet;

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

/// A load of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Its name in cells and reports.
    pub name: Name,
    /// What is ordered.
    pub spec: LoadSpec,
}

impl Load {
    /// The CPUs that its generator is pinned to; `None`: it is not.
    #[must_use]
    pub fn cpus(&self) -> Option<CpuSet> {
        CpuSet::of(self.spec.kind.cpus().to_vec())
    }
}

impl WorkloadKind {
    /// Its transport.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Tcp(_) | Self::Jung(_) => Transport::Http,
            Self::Udp(_) => Transport::Udp,
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
