//! SUMMARY: a runner's report at the end of an attempt.

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::size::Size;

/// The body of SUMMARY. Totals cover the first to the last sample; the controller computes the measurement window from the raw samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// One entry per service.
    pub services: Vec<ServiceSummary>,
    /// Number of sample batches sent; the controller must have received as many.
    pub batches: u64,
    /// Number of samples in them.
    pub samples: u64,
    /// Missed ticks of the sampling grid.
    pub missed_ticks: u64,
    /// CPU time of the sampler, ns.
    pub sampler_cpu_ns: u64,
    /// The whole host from READY to STOP.
    pub host: HostUsage,
    /// Kernel messages during the attempt.
    pub kernel_log: KernelLogSummary,
    /// Figures that could not be read, with the remedy; empty: all that this kernel provides.
    pub notes: Vec<String>,
    /// The result of the teardown.
    pub teardown: Teardown,
}

/// Kernel messages between the start of the services and the end of their teardown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelLogSummary {
    /// Whether the kernel log could be read; `false`: nothing is known.
    pub is_readable: bool,
    /// Number of messages.
    pub messages: u64,
    /// Messages that cast doubt on the measurement, oldest first; at most 16.
    pub troubles: Vec<KernelEvent>,
}

/// A kernel message that casts doubt on the measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelEvent {
    /// Its kind.
    pub kind: KernelEventKind,
    /// Its text, truncated to 200 characters.
    pub text: String,
}

/// The kind of a kernel message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelEventKind {
    /// The host ran out of memory and the OOM killer was invoked.
    OutOfMemory,
    /// A cgroup reached its memory limit and the OOM killer was invoked.
    GroupOutOfMemory,
    /// A machine check or memory error.
    HardwareError,
    /// Thermal throttling.
    Throttled,
    /// A CPU or task stalled for seconds.
    Stall,
    /// A disk or network device failed.
    InputOutput,
    /// The clock source was marked unstable and replaced.
    Clock,
}

impl KernelEventKind {
    /// Its description in verdicts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfMemory => "the host ran out of memory",
            Self::GroupOutOfMemory => "a cgroup ran out of memory",
            Self::HardwareError => "a hardware error",
            Self::Throttled => "the CPU was thermally throttled",
            Self::Stall => "a CPU or task stalled",
            Self::InputOutput => "a device failed",
            Self::Clock => "the clock source was unstable",
        }
    }
}

/// One service over the whole attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSummary {
    /// The service.
    pub service: Name,
    /// All PIDs that were seen.
    pub pids: Vec<u32>,
    /// Number of samples.
    pub samples: u64,
    /// User time, clock ticks.
    pub user_ticks: u64,
    /// System time, clock ticks.
    pub system_ticks: u64,
    /// CPU time, ns; `None`: not provided by the kernel.
    pub cpu_ns: Option<u64>,
    /// Mean RSS, bytes.
    pub rss_mean_bytes: u64,
    /// Maximum RSS over the samples, bytes.
    pub rss_max_bytes: u64,
    /// How it ended.
    pub exit: Exit,
    /// Disk usage, including written data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<Size>,
}

/// How a service ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// It was terminated by this signal.
    Signal(i32),
    /// It was killed by the OOM killer.
    OutOfMemory,
    /// Its guest panicked, rebooted or was stopped by the hypervisor; the log has the details.
    Crashed,
    /// virtiofsd, which shared a host directory with its guest, exited before it; the log has the details.
    Unserved,
    /// It did not exit within the grace period and was killed.
    Killed,
    /// Its exit was not observed.
    Unknown,
}

/// CPU usage of the whole host over all CPUs, clock ticks (`/proc/stat`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostUsage {
    /// user + nice.
    pub user_ticks: u64,
    /// system.
    pub system_ticks: u64,
    /// irq + softirq.
    pub interrupt_ticks: u64,
    /// idle + iowait.
    pub idle_ticks: u64,
    /// Stolen by the hypervisor.
    pub steal_ticks: u64,
}

/// The result of a teardown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teardown {
    /// What was left behind, e.g. `container jung-..`, `pid 17`; empty: verified clean.
    pub leftovers: Vec<String>,
}
