//! What a host is: the part of a result that a reviewer asks for first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::spec::PlatformKind;

/// The body of FACTS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFacts {
    /// The runner's name for the host.
    pub host: Name,
    /// The version of the runner.
    pub runner_version: String,
    /// Distribution and its version.
    pub os: String,
    /// The kernel's release.
    pub kernel: String,
    /// The machine's architecture.
    pub arch: String,
    /// The CPU's model.
    pub cpu_model: String,
    /// Logical CPUs that are online.
    pub cpus: u32,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
    /// Clock ticks a second (`sysconf(_SC_CLK_TCK)`).
    pub clock_ticks_per_s: u64,
    /// Size of a page, bytes.
    pub page_bytes: u64,
    /// The cgroup version that is mounted, 1 or 2; `None`: neither.
    pub cgroup_version: Option<u8>,
    /// The CPU frequency governor, where there is one.
    pub governor: Option<String>,
    /// Whether `/dev/kvm` exists and opens. That alone proves no acceleration.
    pub kvm_opens: bool,
    /// The load average over one minute when asked.
    pub load_1m: f64,
    /// The platforms asked about.
    pub platforms: Vec<PlatformFacts>,
}

/// Whether a platform can be used on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformFacts {
    /// The platform.
    pub kind: PlatformKind,
    /// What is missing; `None`: it can be used.
    pub unmet: Option<Unmet>,
    /// Versions, drivers, hashes: whatever tells one installation from another.
    pub details: BTreeMap<String, String>,
}

/// A need that is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmet {
    /// What is missing.
    pub need: String,
    /// What to do about it.
    pub remedy: String,
}
