//! What a host is: the part of a result that a reviewer asks for first.
//!
//! What cannot be read is absent (`None`, or not in the list); nothing is guessed. What stays the same over a night ([`CpuFacts`], [`KernelFacts`],
//! [`MemoryFacts`]) is apart from what changes by the second ([`HostNow`]).

mod cpu;
mod kernel;
mod memory;
mod now;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::spec::{CpuSet, PlatformKind};

pub use cpu::{CpuFacts, NumaNode};
pub use kernel::KernelFacts;
pub use memory::MemoryFacts;
pub use now::{HostNow, Temperature};

/// The body of FACTS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFacts {
    /// The runner's name for the host.
    pub host: Name,
    /// The version of the runner.
    pub runner_version: String,
    /// The CPUs that the runner itself runs on.
    pub runner_cpus: Option<CpuSet>,
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
    /// Whether `/dev/kvm` exists and opens. That alone proves no acceleration.
    pub kvm_opens: bool,
    /// The processors.
    pub cpu: CpuFacts,
    /// The kernel's settings.
    pub settings: KernelFacts,
    /// The memory's settings.
    pub memory: MemoryFacts,
    /// What changes by the second.
    pub now: HostNow,
    /// The programs that platforms rest on; only where platforms were asked about.
    pub programs: Vec<Program>,
    /// The platforms asked about.
    pub platforms: Vec<PlatformFacts>,
}

/// A program on the host, told from another of its name by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its whole path.
    pub path: String,
    /// Its length, bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
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
