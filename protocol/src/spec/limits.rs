//! What services get, how they are sampled, how long phases may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cpus::CpuSet;

/// The limits that every service gets, whatever the platform: the fairness contract.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// The CPUs that the services may use, as the kernel writes such lists (`0-1,3`); `None`: all.
    pub cpuset: Option<CpuSet>,
    /// The NUMA nodes that their memory may come from, written like `cpuset`; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mems: Option<CpuSet>,
    /// The memory limit of each service, MiB; `None`: none.
    pub memory_mib: Option<u64>,
}

/// How the runner samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// The distance of two samples on an absolute monotonic grid that begins at READY, milliseconds (100 to 10,000).
    pub interval_ms: u64,
    /// How long the whole host is measured just before the services are started, milliseconds; 0: not at all.
    #[serde(default)]
    pub idle_ms: u64,
}

impl Sampling {
    /// The interval as a duration.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}

/// How long each phase may take on the runner, milliseconds. The controller keeps deadlines of its own, a little longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// Making the image, before the start.
    pub prepare_ms: u64,
    /// From the start of the first service to the first correct reply of the last.
    pub ready_ms: u64,
    /// Without a RENEW (or another command of the same controller) for so long, the runner ends the trial.
    pub lease_ms: u64,
    /// From asking a service to end to killing it.
    pub grace_ms: u64,
}
