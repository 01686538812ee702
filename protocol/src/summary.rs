//! What the runner says at the end of an attempt.

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::size::Size;

/// The body of SUMMARY. Its sums reach from the first to the last sample; the controller cuts the measured window out of the raw samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// One a service.
    pub services: Vec<ServiceSummary>,
    /// How many batches of samples were sent: the controller must have as many.
    pub batches: u64,
    /// How many samples they held.
    pub samples: u64,
    /// Ticks of the sampling grid that were missed.
    pub missed_ticks: u64,
    /// CPU that the sampler itself used, ns.
    pub sampler_cpu_ns: u64,
    /// The whole host from READY to STOP.
    pub host: HostUse,
    /// What the kernel said meanwhile.
    pub kernel_log: KernelLogSummary,
    /// What could not be read, once a figure, with the remedy; empty: everything that this kernel has.
    pub notes: Vec<String>,
    /// What the teardown found.
    pub teardown: Teardown,
}

/// What the kernel said between the start of the services and the end of their teardown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelLogSummary {
    /// Whether its log could be read at all; `false`: nothing is known.
    pub is_readable: bool,
    /// How many messages came.
    pub messages: u64,
    /// Those that cast doubt on the measurement, oldest first; the first 16 at most.
    pub troubles: Vec<KernelTrouble>,
}

/// A message of the kernel that casts doubt on the measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelTrouble {
    /// What it is about.
    pub kind: TroubleKind,
    /// Its text, cut to 200 characters.
    pub text: String,
}

/// What a message of the kernel is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// The whole host was out of memory, and something was killed for it.
    OutOfMemory,
    /// A cgroup was at its limit, and something in it was killed.
    GroupOutOfMemory,
    /// A machine check, a memory error.
    HardwareError,
    /// The processor was slowed down for heat.
    Throttled,
    /// A CPU or a task stood still for seconds.
    Stall,
    /// A disk or a network card failed.
    InputOutput,
    /// The clock was found wrong, and another taken.
    Clock,
}

impl TroubleKind {
    /// The word for it in reasons.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OutOfMemory => "the host was out of memory",
            Self::GroupOutOfMemory => "a cgroup was out of memory",
            Self::HardwareError => "a hardware error",
            Self::Throttled => "the processor was slowed down for heat",
            Self::Stall => "a CPU or a task stood still",
            Self::InputOutput => "a device failed",
            Self::Clock => "the clock was found wrong",
        }
    }
}

/// One service over the whole attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSummary {
    /// The service.
    pub service: Name,
    /// Every PID that was seen.
    pub pids: Vec<u32>,
    /// How many samples it has.
    pub samples: u64,
    /// User time, clock ticks.
    pub user_ticks: u64,
    /// System time, clock ticks.
    pub system_ticks: u64,
    /// Time on a CPU, ns; `None` where the kernel does not tell.
    pub cpu_ns: Option<u64>,
    /// Mean of the resident memory, bytes.
    pub rss_mean_bytes: u64,
    /// The highest resident memory that a sample saw, bytes.
    pub rss_max_bytes: u64,
    /// How it ended.
    pub exit: Exit,
    /// What it needed on the host's disk, and what it wrote there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<Size>,
}

/// How a service ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It left with this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// The kernel killed it for memory.
    OutOfMemory,
    /// The guest that it was in panicked, reset itself or was stopped by its hypervisor; the log says which.
    Crashed,
    /// A program that served its guest a directory of the host (virtiofsd) ended before it; the log says how.
    Unserved,
    /// It did not end within the grace and was killed.
    Killed,
    /// Its end was not seen.
    Unknown,
}

/// Whole-host counters between READY and STOP, from `/proc/stat`, clock ticks over all CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostUse {
    /// user + nice.
    pub user_ticks: u64,
    /// system.
    pub system_ticks: u64,
    /// irq + softirq.
    pub interrupt_ticks: u64,
    /// idle + iowait.
    pub idle_ticks: u64,
    /// Taken by the hypervisor below this host.
    pub steal_ticks: u64,
}

/// What was left when everything should be gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teardown {
    /// What is still there, in words: `container jung-..`, `pid 17`; empty: all gone, and looked after.
    pub leftovers: Vec<String>,
}
