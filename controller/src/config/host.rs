//! Requirements on a host at the start of a run, and limits between its trials.

use std::time::Duration;

use protocol::spec::CpuSet;

/// `[host]`: requirements on the host of the services.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostNeeds {
    /// The requirements, in the order of the reference.
    pub needs: Vec<Need>,
    /// The keys of requirements that may be unmet.
    pub waived: Vec<String>,
}

/// A requirement.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// The CPU frequency governor.
    Governor(String),
    /// Whether turbo frequencies are enabled.
    Turbo(bool),
    /// Whether simultaneous multithreading is enabled.
    Smt(bool),
    /// The only idle states that may be enabled.
    CStates(Vec<String>),
    /// Address space randomisation.
    Aslr(u8),
    /// The mode of transparent huge pages.
    Thp(String),
    /// Whether kernel same-page merging is enabled.
    Ksm(bool),
    /// Whether there is swap space.
    Swap(bool),
    /// The clock source.
    Clocksource(String),
    /// The cgroup version.
    Cgroup(u8),
    /// The kernel release.
    Kernel(String),
    /// The microcode revision.
    Microcode(String),
    /// The host is not a virtual machine.
    BareMetal(bool),
    /// The CPUs that are isolated from the scheduler.
    Isolated(CpuSet),
    /// The maximum load average over one minute.
    MaxLoad(f64),
    /// The minimum available memory, MiB.
    MinFreeMib(u64),
    /// The maximum temperature of any sensor, degrees Celsius.
    MaxTemperature(f64),
    /// Services, runner and, on the same machine, the load generator share no CPUs.
    Disjoint(bool),
}

/// `[band]`: limits within which the host must be before a trial begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The maximum load average over one minute.
    pub max_load: Option<f64>,
    /// The maximum CPU utilization over a second, percent.
    pub max_busy: Option<f64>,
    /// The maximum temperature of any sensor, degrees Celsius.
    pub max_temperature: Option<f64>,
    /// The maximum rise of the hottest sensor since the start of the run, kelvin.
    pub max_warming: Option<f64>,
    /// The maximum amount of dirty memory, MiB.
    pub max_dirty_mib: Option<u64>,
    /// The minimum available memory, MiB.
    pub min_free_mib: Option<u64>,
    /// How long to wait for it.
    pub deadline: Duration,
    /// What to do after that.
    pub otherwise: Otherwise,
}

/// What to do if the host is not within the limits in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// The trial is run and marked suspect.
    Suspect,
    /// The run ends; it can be resumed.
    Stop,
}

impl Band {
    /// Whether it has any limit.
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
