//! Raw counters, as the runner reads them. Percentages are computed later, from differences.

use serde::{Deserialize, Serialize};

pub use crate::counter::{Counter, Counters, Kind};
use crate::ids::Name;

/// The body of SAMPLES: a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// The number of the batch within the attempt, from 0 without gaps: a lost or doubled batch shows.
    pub batch: u64,
    /// The samples, oldest first.
    pub samples: Vec<Sample>,
}

/// The counters of one thing at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// When, ns after READY on the runner's monotonic clock.
    pub offset_ns: u64,
    /// What was sampled.
    pub of: Subject,
    /// What was read. Those that cost more are not in every sample.
    pub counters: Counters,
}

/// What was sampled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The cgroup of a service: everything that runs in it, also what comes and goes between two samples.
    Cgroup(OfService),
    /// A process of a service.
    Process(ProcessOf),
    /// Threads of a guest's QEMU, by what they do.
    Threads(ThreadsOf),
    /// A process that works for the platform: the container engine, a shim, a proxy.
    Platform(PlatformProcess),
    /// The runner itself, its sampler included.
    Runner(OneProcess),
    /// All processes of the host that are none of those.
    Rest(Rest),
    /// The whole host.
    Host(WholeHost),
    /// A network interface.
    Link(Link),
    /// What the container engine says of a service itself.
    Engine(OfService),
    /// What the system in a guest says of itself.
    Guest(OfService),
    /// What the system in a guest says of one of its threads.
    GuestThread(GuestThread),
    /// A domain of the processor's energy counters.
    Energy(Energy),
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfService {
    /// Its name.
    pub service: Name,
}

/// A thread in a guest, as its system knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestThread {
    /// The service that the guest is.
    pub service: Name,
    /// The thread's number in the guest.
    pub id: u32,
    /// The thread's name there, which others may have, too.
    pub name: String,
}

/// A process of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessOf {
    /// The service that it belongs to.
    pub service: Name,
    /// The process.
    pub pid: u32,
    /// Its start, clock ticks after boot (`/proc/PID/stat` field 22): with the PID it names a process for good.
    pub start_ticks: u64,
}

/// Threads of a guest's QEMU.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreadsOf {
    /// The service that the guest is.
    pub service: Name,
    /// What they do.
    pub role: Role,
}

/// What a thread of QEMU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Executes a CPU of the guest, and the guest's exits into QEMU.
    Vcpu,
    /// Moves packets for vhost-net.
    Vhost,
    /// Serves disks.
    Io,
    /// Everything else: the main loop, user-mode network, monitor.
    Emulator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vcpu, Self::Vhost, Self::Io, Self::Emulator];

    /// Its word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Vcpu => "vcpu",
            Self::Vhost => "vhost",
            Self::Io => "io",
            Self::Emulator => "emulator",
        }
    }
}

/// A process that works for the platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformProcess {
    /// What it is: `dockerd`, `containerd`, `containerd-shim`, `docker-proxy`.
    pub part: Name,
    /// The service that it works for; `None`: for all, and perhaps for strangers.
    pub service: Option<Name>,
    /// The process.
    pub pid: u32,
    /// Its start, clock ticks after boot.
    pub start_ticks: u64,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneProcess {
    /// The process.
    pub pid: u32,
    /// Its start, clock ticks after boot.
    pub start_ticks: u64,
}

/// The processes of the host that are none of the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// Which of them.
    pub kind: RestKind,
}

/// Kernel threads, or programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestKind {
    /// Threads of the kernel: ksoftirqd, kworker, vhost before Linux 6.4.
    Kernel,
    /// Programs.
    Programs,
}

impl RestKind {
    /// Its word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Programs => "programs",
        }
    }
}

/// The whole host: there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WholeHost {}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The service that it carries; `None`: it is the host's.
    pub service: Option<Name>,
    /// Its name there. What a tap receives its guest has sent.
    pub interface: String,
}

/// A domain of energy counters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Energy {
    /// Its name as the kernel has it, with its parent's: `package-0`, `package-0/dram`.
    pub domain: String,
}

impl Subject {
    /// The service that it belongs to, if it is one's.
    #[must_use]
    pub const fn service(&self) -> Option<&Name> {
        match self {
            Self::Cgroup(of) | Self::Engine(of) | Self::Guest(of) => Some(&of.service),
            Self::GuestThread(of) => Some(&of.service),
            Self::Process(of) => Some(&of.service),
            Self::Threads(of) => Some(&of.service),
            Self::Platform(of) => of.service.as_ref(),
            Self::Link(of) => of.service.as_ref(),
            Self::Runner(_) | Self::Rest(_) | Self::Host(_) | Self::Energy(_) => None,
        }
    }
}
