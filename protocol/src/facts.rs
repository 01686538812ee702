//! Host facts: what a run's results record about the machine under test.
//!
//! Figures that cannot be read are absent (`None`, or not in the list). Settings that stay the same during a run ([`CpuFacts`], [`KernelFacts`],
//! [`MemoryFacts`]) are separate from the current state ([`HostState`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::load::Transport;
use crate::spec::{CpuSet, PlatformKind};

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
    /// Distribution and version.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Machine architecture.
    pub arch: String,
    /// CPU model.
    pub cpu_model: String,
    /// Online logical CPUs.
    pub cpus: u32,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
    /// Clock ticks per second (`sysconf(_SC_CLK_TCK)`).
    pub clock_ticks_per_s: u64,
    /// Page size, bytes.
    pub page_bytes: u64,
    /// The mounted cgroup version, 1 or 2; `None`: neither.
    pub cgroup_version: Option<u8>,
    /// Whether `/dev/kvm` can be opened. This alone does not prove that acceleration works.
    pub kvm_opens: bool,
    /// CPU topology and frequency settings.
    pub cpu: CpuFacts,
    /// Kernel settings.
    pub settings: KernelFacts,
    /// Memory management settings.
    pub memory: MemoryFacts,
    /// The current state of the host.
    pub now: HostState,
    /// The programs that platforms depend on; only if platforms were asked about.
    pub programs: Vec<Program>,
    /// The platforms asked about.
    pub platforms: Vec<PlatformFacts>,
    /// The described services asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceFacts>,
}

/// Whether a described service can run on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceFacts {
    /// The service.
    pub service: Name,
    /// What it speaks; `None`: its description cannot be used.
    pub protocol: Option<Transport>,
    /// What it is; `None`: its description cannot be used.
    pub record: Option<ServiceRecord>,
    /// For each platform asked about: why it cannot run there; `None`: it can.
    pub unmet: Vec<Option<Unmet>>,
}

/// What a described service is, by content: two runs with equal records measured the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRecord {
    /// The service.
    pub service: Name,
    /// The description on the target host; `None`: it was in the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Name>,
    /// SHA-256 of the description with its parameters and the files beside it, hexadecimal.
    pub sha256: String,
    /// The program of the host that it runs, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// The image that it was started from, in READY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRecord>,
}

/// The image of a container or guest, by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRecord {
    /// The name under which it was found or built.
    pub name: String,
    /// What identifies its content: the engine's image id, or a SHA-256.
    pub id: String,
    /// Its digests in registries, `name@sha256:...`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
}

/// A program on the host, identified by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Absolute path.
    pub path: String,
    /// Size, bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// Whether a platform can be used on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformFacts {
    /// The platform.
    pub kind: PlatformKind,
    /// The requirement that is not met; `None`: the platform can be used.
    pub unmet: Option<Unmet>,
    /// Versions, drivers and hashes that identify the installation.
    pub details: BTreeMap<String, String>,
}

/// A requirement that is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmet {
    /// The requirement.
    pub need: String,
    /// How to meet it.
    pub remedy: String,
}

/// CPU topology and frequency settings. Files are relative to `/sys/devices/system/cpu`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuFacts {
    /// Sockets (`cpu*/topology/physical_package_id`).
    pub sockets: Option<u32>,
    /// Online physical cores (`cpu*/topology/thread_siblings_list`, each list once).
    pub cores: Option<u32>,
    /// Whether SMT is active (`smt/active`).
    pub smt: Option<bool>,
    /// NUMA nodes.
    pub nodes: Vec<NumaNode>,
    /// Frequency governor; several are separated by commas (`cpu*/cpufreq/scaling_governor`).
    pub governor: Option<String>,
    /// Frequency driver (`cpu0/cpufreq/scaling_driver`).
    pub driver: Option<String>,
    /// Minimum frequency that the governor may set, kHz (`cpu0/cpufreq/scaling_min_freq`).
    pub min_khz: Option<u64>,
    /// Maximum frequency that the governor may set, kHz (`cpu0/cpufreq/scaling_max_freq`).
    pub max_khz: Option<u64>,
    /// Whether turbo frequencies are enabled (`intel_pstate/no_turbo`, else `cpufreq/boost`).
    pub turbo: Option<bool>,
    /// Idle driver (`cpuidle/current_driver`).
    pub idle_driver: Option<String>,
    /// Enabled idle states, shallowest first (`cpu0/cpuidle/state*`).
    pub idle_states: Vec<String>,
    /// Microcode revision (`/proc/cpuinfo`).
    pub microcode: Option<String>,
    /// CPUs isolated from the scheduler (`isolated`); `None`: none.
    pub isolated: Option<CpuSet>,
    /// Tickless CPUs (`nohz_full`); `None`: none.
    pub nohz_full: Option<CpuSet>,
    /// Whether this machine is virtual (flag `hypervisor` of `/proc/cpuinfo`).
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

/// Kernel build, command line and settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelFacts {
    /// Build (`/proc/sys/kernel/version`).
    pub build: Option<String>,
    /// Command line (`/proc/cmdline`), without the arguments of init after `--`.
    pub command_line: Option<String>,
    /// Boot id (`/proc/sys/kernel/random/boot_id`): equal for programs on the same machine.
    pub boot_id: Option<String>,
    /// Clock source (`/sys/devices/system/clocksource/clocksource0/current_clocksource`).
    pub clocksource: Option<String>,
    /// Address space layout randomization, 0 to 2 (`/proc/sys/kernel/randomize_va_space`).
    pub aslr: Option<u8>,
    /// Mitigation of each CPU vulnerability that affects this machine (`/sys/devices/system/cpu/vulnerabilities`).
    pub mitigations: BTreeMap<String, String>,
    /// How long KVM polls before it schedules out an idle vCPU, ns (`/sys/module/kvm/parameters/halt_poll_ns`).
    pub halt_poll_ns: Option<u64>,
}

/// Memory management settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryFacts {
    /// Transparent huge pages: `always`, `madvise` or `never` (`/sys/kernel/mm/transparent_hugepage/enabled`).
    pub thp: Option<String>,
    /// Whether kernel samepage merging is on (`/sys/kernel/mm/ksm/run` is 1).
    pub ksm: Option<bool>,
    /// Swap space, bytes (`SwapTotal` of `/proc/meminfo`); 0: none.
    pub swap_bytes: Option<u64>,
    /// Swappiness (`/proc/sys/vm/swappiness`).
    pub swappiness: Option<u32>,
    /// Overcommit mode, 0 to 2 (`/proc/sys/vm/overcommit_memory`).
    pub overcommit: Option<u8>,
    /// Reserved huge pages (`HugePages_Total` of `/proc/meminfo`).
    pub huge_pages: Option<u64>,
}

/// The state of the host when it replied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostState {
    /// The load average over one minute (`/proc/loadavg`).
    pub load_1m: Option<f64>,
    /// Non-idle ticks of all CPUs since boot (`/proc/stat`: all fields except idle and iowait; user includes guest time).
    pub busy_ticks: Option<u64>,
    /// Ticks of all CPUs since boot.
    pub all_ticks: Option<u64>,
    /// Memory available without swapping, bytes (`MemAvailable`).
    pub available_bytes: Option<u64>,
    /// Bytes waiting for or under writeback (`Dirty` + `Writeback`).
    pub dirty_bytes: Option<u64>,
    /// Swap in use, bytes.
    pub swap_used_bytes: Option<u64>,
    /// All readable temperature sensors.
    pub temperatures: Vec<Temperature>,
    /// Thermal throttling events since boot (`cpu*/thermal_throttle/*_throttle_count`, summed).
    pub throttles: Option<u64>,
    /// Sequence number of the newest kernel message (`/dev/kmsg`).
    pub kernel_log: Option<u64>,
}

/// A sensor reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Temperature {
    /// Name of the sensor, e.g. `x86_pkg_temp` or `k10temp Tctl`.
    pub sensor: String,
    /// Thousandths of a degree Celsius.
    pub millidegrees: i64,
}

impl HostState {
    /// The highest temperature, °C; `None`: no sensor.
    #[must_use]
    pub fn hottest(&self) -> Option<f64> {
        let highest = self.temperatures.iter().map(|sensor| sensor.millidegrees).max()?;
        Some(highest as f64 / 1000.0)
    }

    /// CPU utilization of the host since an earlier reading, percent; `None`: unknown, or no time has passed.
    #[must_use]
    pub fn busy_percent_since(&self, earlier: &Self) -> Option<f64> {
        let busy = self.busy_ticks?.checked_sub(earlier.busy_ticks?)?;
        let all = self.all_ticks?.checked_sub(earlier.all_ticks?)?;
        (all > 0).then(|| busy as f64 * 100.0 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilization_needs_two_readings_in_order() {
        let at = |busy, all| HostState {
            busy_ticks: Some(busy),
            all_ticks: Some(all),
            ..HostState::default()
        };
        assert_eq!(at(30, 300).busy_percent_since(&at(10, 200)), Some(20.0));
        assert_eq!(at(10, 200).busy_percent_since(&at(30, 300)), None);
        assert_eq!(at(10, 200).busy_percent_since(&at(10, 200)), None);
        assert_eq!(at(10, 200).busy_percent_since(&HostState::default()), None);
        assert_eq!(HostState::default().hottest(), None);
    }
}
