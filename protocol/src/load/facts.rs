//! The machine of a load generator.

use serde::{Deserialize, Serialize};

use super::GeneratorLimits;
use crate::spec::CpuSet;

/// The machine that a controller or a loader is on; the answer of a loader to DESCRIBE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineFacts {
    /// The version of its program.
    pub version: String,
    /// The git commit it was built from, where the build knew.
    pub commit: Option<String>,
    /// The machine's name; `host` in manifests up to format 2.
    #[serde(alias = "host")]
    pub machine: String,
    /// Distribution and its version.
    pub os: String,
    /// The kernel's release.
    pub kernel: String,
    /// The machine's architecture.
    pub arch: String,
    /// The CPU's model.
    pub cpu_model: String,
    /// Logical CPUs that it may use.
    pub cpus: u32,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
    /// The CPU frequency governor, where there is one.
    pub governor: Option<String>,
    /// This boot of the machine: whoever has the same one is on the same machine.
    #[serde(default)]
    pub boot_id: Option<String>,
    /// The CPUs that its threads are pinned to, a thread on each; `None`: those that the experiment names, if it names any.
    #[serde(default)]
    pub pinned: Option<CpuSet>,
    /// What the machine has for a load; `None`: a loader of an earlier release, which does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<GeneratorLimits>,
}
