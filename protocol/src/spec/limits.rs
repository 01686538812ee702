//! Resource limits, sampling and deadlines.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cpu_set::CpuSet;

/// The resource limits of every service, the same on every platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// The CPUs that the services may use; `None`: all.
    pub cpuset: Option<CpuSet>,
    /// The NUMA nodes that their memory may be allocated from; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mems: Option<CpuSet>,
    /// The memory limit of each service, MiB; `None`: none.
    pub memory_mib: Option<u64>,
}

/// Sampling of resource usage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Sampling interval on an absolute monotonic grid that begins at READY, ms (100 to 10,000).
    pub interval_ms: u64,
    /// Length of the idle window before the services are started, ms; 0: none.
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

/// Deadlines of the phases on the runner, ms. The controller has its own, slightly longer deadlines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// Image preparation, before the start.
    pub prepare_ms: u64,
    /// From the start of the first service to the first correct reply of the last.
    pub ready_ms: u64,
    /// The lease: the runner ends the trial after this time without a command of its controller.
    pub lease_ms: u64,
    /// Filling the described services with data, after their first replies.
    pub seed_ms: u64,
    /// From the request to terminate a service to killing it.
    pub grace_ms: u64,
}
