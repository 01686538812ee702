//! What the machine of a load generator has for a load.

use serde::{Deserialize, Serialize};

use crate::spec::CpuSet;

/// The limits that a load can run into. What is `None` cannot be told, and refuses nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorLimits {
    /// The CPUs that are online.
    pub cpus: Option<CpuSet>,
    /// Open files that the process may have: the hard limit.
    pub open_files: Option<u64>,
    /// Local ports towards one address.
    pub local_ports: Option<u64>,
}
