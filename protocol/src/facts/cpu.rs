//! The processors.

use serde::{Deserialize, Serialize};

use crate::spec::CpuSet;

/// The processors, how they are laid out and how their clock is governed. Files are those of `/sys/devices/system/cpu`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuFacts {
    /// Sockets (`cpu*/topology/physical_package_id`).
    pub sockets: Option<u32>,
    /// Physical cores that are online (`cpu*/topology/thread_siblings_list`, each list once).
    pub cores: Option<u32>,
    /// Whether a core runs more than one thread (`smt/active`).
    pub smt: Option<bool>,
    /// The NUMA nodes.
    pub nodes: Vec<NumaNode>,
    /// What decides on the clock; of several governors, each once with commas between (`cpu*/cpufreq/scaling_governor`).
    pub governor: Option<String>,
    /// What sets the clock (`cpu0/cpufreq/scaling_driver`).
    pub driver: Option<String>,
    /// The lowest clock that the governor may set, kHz (`cpu0/cpufreq/scaling_min_freq`).
    pub min_khz: Option<u64>,
    /// The highest, kHz.
    pub max_khz: Option<u64>,
    /// Whether the clock may rise above its base (`intel_pstate/no_turbo`, else `cpufreq/boost`).
    pub turbo: Option<bool>,
    /// What puts idle CPUs to sleep (`cpuidle/current_driver`).
    pub idle_driver: Option<String>,
    /// The states that an idle CPU may sleep in, shallow first (`cpu0/cpuidle/state*`, without the disabled ones).
    pub idle_states: Vec<String>,
    /// The microcode's revision (`/proc/cpuinfo`).
    pub microcode: Option<String>,
    /// CPUs that the scheduler leaves alone (`isolated`); `None`: none.
    pub isolated: Option<CpuSet>,
    /// CPUs without a tick while one task runs (`nohz_full`); `None`: none.
    pub nohz_full: Option<CpuSet>,
    /// Whether this machine is itself a virtual one (flag `hypervisor` of `/proc/cpuinfo`).
    pub is_virtual: Option<bool>,
}

/// A NUMA node, from `/sys/devices/system/node`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumaNode {
    /// Its number.
    pub node: u32,
    /// Its CPUs; `None`: it has memory only.
    pub cpus: Option<CpuSet>,
    /// Its memory, bytes.
    pub memory_bytes: Option<u64>,
}
