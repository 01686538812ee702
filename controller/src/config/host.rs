//! What a host must be like before a run begins, and between its trials.

use std::time::Duration;

use protocol::spec::CpuSet;

/// `[host]`: what is required of the host that the services run on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostNeeds {
    /// What is required, in the order of the reference.
    pub needs: Vec<Need>,
    /// The keys of those that may be unmet.
    pub waived: Vec<String>,
}

/// One thing that is required.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// The frequency governor of all CPUs.
    Governor(String),
    /// Whether the clock may rise above its base.
    Turbo(bool),
    /// Whether cores run several threads.
    Smt(bool),
    /// The idle states that may be enabled; no other may.
    CStates(Vec<String>),
    /// Address space randomisation.
    Aslr(u8),
    /// The mode of transparent huge pages.
    Thp(String),
    /// Whether equal pages are merged.
    Ksm(bool),
    /// Whether there is swap space.
    Swap(bool),
    /// The clock source.
    Clocksource(String),
    /// The cgroup version.
    Cgroup(u8),
    /// The kernel's release.
    Kernel(String),
    /// The microcode's revision.
    Microcode(String),
    /// No virtual machine.
    BareMetal(bool),
    /// The CPUs that the scheduler leaves alone.
    Isolated(CpuSet),
    /// The highest load average over one minute.
    MaxLoad(f64),
    /// The least memory that is free, MiB.
    MinFreeMib(u64),
    /// The highest temperature of any sensor, degrees Celsius.
    MaxTemperature(f64),
    /// Services, runner and (on the same machine) generator have no CPU in common.
    Disjoint(bool),
}

/// `[band]`: what the host must be like again before the next trial begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The highest load average over one minute.
    pub max_load: Option<f64>,
    /// The highest share of all CPUs that is busy over a second, percent.
    pub max_busy: Option<f64>,
    /// The highest temperature of any sensor, degrees Celsius.
    pub max_temperature: Option<f64>,
    /// The most that the hottest sensor may be above what it was when the run began, kelvin.
    pub max_warming: Option<f64>,
    /// The most that waits to be written to disks, MiB.
    pub max_dirty_mib: Option<u64>,
    /// The least memory that is free, MiB.
    pub min_free_mib: Option<u64>,
    /// How long is waited for it.
    pub deadline: Duration,
    /// What happens then.
    pub otherwise: Otherwise,
}

/// What happens when the host does not come back in band in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// The trial is made and marked suspect.
    Suspect,
    /// The run ends; it can be resumed.
    Stop,
}

impl Band {
    /// Whether anything is asked for.
    #[must_use]
    pub const fn asks(&self) -> bool {
        self.max_load.is_some()
            || self.max_busy.is_some()
            || self.max_temperature.is_some()
            || self.max_warming.is_some()
            || self.max_dirty_mib.is_some()
            || self.min_free_mib.is_some()
    }
}
