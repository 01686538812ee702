//! The machine of a load generator.

use serde::{Deserialize, Serialize};

use crate::spec::CpuSet;

/// The machine of a controller or loader; a loader's reply to DESCRIBE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineFacts {
    /// Version of the program.
    pub version: String,
    /// Git commit of the build, if known.
    pub commit: Option<String>,
    /// Host name; `host` in manifests up to format 2.
    #[serde(alias = "host")]
    pub machine: String,
    /// Distribution and version.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Machine architecture.
    pub arch: String,
    /// CPU model.
    pub cpu_model: String,
    /// Logical CPUs available to the process.
    pub cpus: u32,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
    /// CPU frequency governor, if any.
    pub governor: Option<String>,
    /// Boot id: equal for programs on the same machine.
    #[serde(default)]
    pub boot_id: Option<String>,
    /// CPUs that the threads are pinned to, one thread each; `None`: those of the experiment, if any.
    #[serde(default)]
    pub pinned: Option<CpuSet>,
    /// Resource limits of the machine; `None`: not reported (earlier releases).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<GeneratorLimits>,
}

/// Resource limits that a load can exceed. `None`: unknown, and not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorLimits {
    /// Online CPUs.
    pub cpus: Option<CpuSet>,
    /// Hard limit on open files.
    pub open_files: Option<u64>,
    /// Local ports per destination address.
    pub local_ports: Option<u64>,
}
