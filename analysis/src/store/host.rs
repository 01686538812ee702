//! What is kept of the host's state: before the run, and before every trial.

use protocol::facts::HostState;
use serde::{Deserialize, Serialize};

/// How the host was held against `[host]` before the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preflight {
    /// What is required and is so, in words.
    pub met: Vec<String>,
    /// What is required, is not so, and was waived.
    pub waived: Vec<String>,
    /// CPUs that services, runner and generator share.
    pub shared_cpus: Vec<String>,
}

/// The wait until the host was back in band.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandRecord {
    /// How long it took, ns.
    pub waited_ns: u64,
    /// What was still out of band at the end; empty: nothing.
    pub outside: Vec<String>,
    /// The host at the end of the wait.
    pub host: HostState,
}
