//! Samples of raw counters. Percentages are computed later, from differences.

use serde::{Deserialize, Serialize};

pub use crate::counter::{Counter, CounterKind, Counters};
use crate::ids::Name;

/// The body of SAMPLES: a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// Sequence number of the batch within the attempt, from 0 without gaps, so that lost and duplicate batches are detected.
    pub batch: u64,
    /// The samples, oldest first.
    pub samples: Vec<Sample>,
}

/// The counters of one subject at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Time, ns after READY on the runner's monotonic clock.
    pub offset_ns: u64,
    /// What was sampled.
    pub of: Subject,
    /// The counters read. Expensive ones are not in every sample.
    pub counters: Counters,
}

/// What was sampled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The cgroup of a service, which includes processes that start and exit between two samples.
    Cgroup(ServiceRef),
    /// A process of a service.
    Process(ServiceProcess),
    /// Threads of a guest's QEMU process, by role.
    Threads(QemuThreads),
    /// A process of the platform: the container engine, a shim, a proxy.
    Platform(PlatformProcess),
    /// The runner, including its sampler.
    Runner(ProcessRef),
    /// All other processes of the host.
    #[serde(rename = "rest")]
    OtherProcesses(OtherProcessesRef),
    /// The whole host.
    Host(WholeHost),
    /// A network interface.
    Link(Link),
    /// A service, as reported by the container engine.
    Engine(ServiceRef),
    /// A guest, as reported by its operating system.
    Guest(ServiceRef),
    /// A thread in a guest, as reported by its operating system.
    GuestThread(GuestThread),
    /// A domain of the CPU's energy counters (RAPL).
    Energy(Energy),
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRef {
    /// Name of the service.
    pub service: Name,
}

/// A thread in a guest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestThread {
    /// The service that runs in the guest.
    pub service: Name,
    /// Thread id in the guest.
    pub id: u32,
    /// Thread name in the guest; not unique.
    pub name: String,
}

/// A process of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceProcess {
    /// The service that it belongs to.
    pub service: Name,
    /// Process id.
    pub pid: u32,
    /// Start time, clock ticks after boot (`/proc/PID/stat` field 22); identifies the process together with the PID.
    pub start_ticks: u64,
}

/// Threads of a guest's QEMU process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QemuThreads {
    /// The service that runs in the guest.
    pub service: Name,
    /// Their role.
    pub role: Role,
}

/// The role of a QEMU thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs a vCPU, including exits into QEMU.
    Vcpu,
    /// vhost-net.
    Vhost,
    /// Disk I/O.
    Io,
    /// Everything else: main loop, user-mode network, monitor.
    Emulator,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Vcpu, Self::Vhost, Self::Io, Self::Emulator];

    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vcpu => "vcpu",
            Self::Vhost => "vhost",
            Self::Io => "io",
            Self::Emulator => "emulator",
        }
    }
}

/// A process of the platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformProcess {
    /// Component: `dockerd`, `containerd`, `containerd-shim`, `docker-proxy`.
    pub part: Name,
    /// The service that it belongs to; `None`: shared by all, possibly also with unrelated containers.
    pub service: Option<Name>,
    /// Process id.
    pub pid: u32,
    /// Start time, clock ticks after boot.
    pub start_ticks: u64,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessRef {
    /// Process id.
    pub pid: u32,
    /// Start time, clock ticks after boot.
    pub start_ticks: u64,
}

/// Processes of the host that belong to no other subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherProcessesRef {
    /// Kernel threads or programs.
    pub kind: ProcessKind,
}

/// Kernel threads or programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessKind {
    /// Kernel threads: ksoftirqd, kworker, vhost before Linux 6.4.
    Kernel,
    /// User-space programs.
    Programs,
}

impl ProcessKind {
    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Programs => "programs",
        }
    }
}

/// The whole host.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WholeHost {}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The service that it belongs to; `None`: the host's.
    pub service: Option<Name>,
    /// Interface name. A tap device receives what its guest sends.
    pub interface: String,
}

/// An energy counter domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Energy {
    /// Name in the kernel, preceded by its parent's: `package-0`, `package-0/dram`.
    pub domain: String,
}

impl Subject {
    /// The service that it belongs to, if any.
    #[must_use]
    pub const fn service(&self) -> Option<&Name> {
        match self {
            Self::Cgroup(of) | Self::Engine(of) | Self::Guest(of) => Some(&of.service),
            Self::GuestThread(of) => Some(&of.service),
            Self::Process(of) => Some(&of.service),
            Self::Threads(of) => Some(&of.service),
            Self::Platform(of) => of.service.as_ref(),
            Self::Link(of) => of.service.as_ref(),
            Self::Runner(_) | Self::OtherProcesses(_) | Self::Host(_) | Self::Energy(_) => None,
        }
    }
}
