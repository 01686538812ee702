//! A requirement of `[host]`.

use protocol::facts::HostFacts;

use super::cpus::Overlap;
use crate::config::Need;

/// Bytes per MiB.
const MIB: u64 = 1 << 20;

impl Need {
    /// The key in the file.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Governor(_) => "governor",
            Self::Turbo(_) => "turbo",
            Self::Smt(_) => "smt",
            Self::CStates(_) => "c_states",
            Self::Aslr(_) => "aslr",
            Self::Thp(_) => "thp",
            Self::Ksm(_) => "ksm",
            Self::Swap(_) => "swap",
            Self::Clocksource(_) => "clocksource",
            Self::Cgroup(_) => "cgroup",
            Self::Kernel(_) => "kernel",
            Self::Microcode(_) => "microcode",
            Self::BareMetal(_) => "bare_metal",
            Self::Isolated(_) => "isolated",
            Self::MaxLoad(_) => "max_load",
            Self::MinFreeMib(_) => "min_free_mib",
            Self::MaxTemperature(_) => "max_temperature",
            Self::Disjoint(_) => "disjoint",
        }
    }

    /// Key and value, as in the file.
    #[must_use]
    pub fn setting(&self) -> String {
        let value = match self {
            Self::Governor(text)
            | Self::Thp(text)
            | Self::Clocksource(text)
            | Self::Kernel(text)
            | Self::Microcode(text) => format!("{text:?}"),
            Self::CStates(states) => format!("{:?}", states.join(",")),
            Self::Turbo(on)
            | Self::Smt(on)
            | Self::Ksm(on)
            | Self::Swap(on)
            | Self::BareMetal(on)
            | Self::Disjoint(on) => on.to_string(),
            Self::Aslr(level) | Self::Cgroup(level) => level.to_string(),
            Self::Isolated(cpus) => format!("\"{cpus}\""),
            Self::MaxLoad(most) | Self::MaxTemperature(most) => most.to_string(),
            Self::MinFreeMib(mib) => mib.to_string(),
        };
        format!("{} = {value}", self.key())
    }

    /// The actual value on the host; `None`: the host does not report it.
    pub(super) fn actual(&self, facts: &HostFacts, overlaps: &[Overlap]) -> Option<String> {
        let switch = |on: Option<bool>| on.map(|on| if on { "on" } else { "off" }.to_owned());
        let (cpu, kernel, memory, now) = (&facts.cpu, &facts.settings, &facts.memory, &facts.now);
        match self {
            Self::Governor(_) => cpu.governor.clone(),
            Self::Turbo(_) => switch(cpu.turbo),
            Self::Smt(_) => switch(cpu.smt),
            Self::CStates(_) => (!cpu.idle_states.is_empty()).then(|| cpu.idle_states.join(",")),
            Self::Aslr(_) => kernel.aslr.map(|level| level.to_string()),
            Self::Thp(_) => memory.thp.clone(),
            Self::Ksm(_) => switch(memory.ksm),
            Self::Swap(_) => memory.swap_bytes.map(|bytes| format!("{} MiB", bytes / MIB)),
            Self::Clocksource(_) => kernel.clocksource.clone(),
            Self::Cgroup(_) => facts.cgroup_version.map(|version| version.to_string()),
            Self::Kernel(_) => Some(facts.kernel.clone()),
            Self::Microcode(_) => cpu.microcode.clone(),
            Self::BareMetal(_) => cpu
                .is_virtual
                .map(|is| if is { "a virtual machine" } else { "bare metal" }.to_owned()),
            Self::Isolated(_) => Some(cpu.isolated.as_ref().map_or("none".to_owned(), ToString::to_string)),
            Self::MaxLoad(_) => now.load_1m.map(|load| load.to_string()),
            Self::MinFreeMib(_) => now.available_bytes.map(|bytes| format!("{}", bytes / MIB)),
            Self::MaxTemperature(_) => now.hottest().map(|degrees| format!("{degrees:.1}")),
            Self::Disjoint(_) => Some(match overlaps {
                [] => "no CPU is shared".to_owned(),
                some => some.iter().map(Overlap::to_string).collect::<Vec<_>>().join("; "),
            }),
        }
    }

    /// Whether the host meets it. A value that the host does not report is not met.
    pub(super) fn is_met(&self, facts: &HostFacts, overlaps: &[Overlap]) -> bool {
        let (cpu, kernel, memory, now) = (&facts.cpu, &facts.settings, &facts.memory, &facts.now);
        match self {
            Self::Governor(wanted) => cpu.governor.as_ref() == Some(wanted),
            Self::Turbo(wanted) => cpu.turbo == Some(*wanted),
            Self::Smt(wanted) => cpu.smt == Some(*wanted),
            Self::CStates(allowed) => {
                !cpu.idle_states.is_empty() && cpu.idle_states.iter().all(|state| allowed.contains(state))
            }
            Self::Aslr(wanted) => kernel.aslr == Some(*wanted),
            Self::Thp(wanted) => memory.thp.as_ref() == Some(wanted),
            Self::Ksm(wanted) => memory.ksm == Some(*wanted),
            Self::Swap(wanted) => memory.swap_bytes.is_some_and(|bytes| (bytes > 0) == *wanted),
            Self::Clocksource(wanted) => kernel.clocksource.as_ref() == Some(wanted),
            Self::Cgroup(wanted) => facts.cgroup_version == Some(*wanted),
            Self::Kernel(wanted) => facts.kernel == *wanted,
            Self::Microcode(wanted) => cpu.microcode.as_ref() == Some(wanted),
            Self::BareMetal(wanted) => cpu.is_virtual == Some(!wanted),
            Self::Isolated(wanted) => cpu.isolated.as_ref() == Some(wanted),
            Self::MaxLoad(most) => now.load_1m.is_some_and(|load| load <= *most),
            Self::MinFreeMib(least) => now.available_bytes.is_some_and(|bytes| bytes / MIB >= *least),
            Self::MaxTemperature(most) => now.hottest().is_some_and(|degrees| degrees <= *most),
            Self::Disjoint(wanted) => !wanted || overlaps.is_empty(),
        }
    }

    /// The remedy; `reported`: whether the host reports a value.
    pub(super) fn remedy(&self, reported: bool) -> String {
        if !reported {
            let key = self.key();
            return format!(
                "on a machine without it (e.g. a virtual machine), remove {key} or waive it: waive = [\"{key}\"]"
            );
        }
        match self {
            Self::Governor(wanted) => format!("run cpupower frequency-set --governor {wanted}"),
            Self::Turbo(on) => format!(
                "run echo {} > /sys/devices/system/cpu/intel_pstate/no_turbo, or with another driver echo {} > /sys/devices/system/cpu/cpufreq/boost",
                u8::from(!on),
                u8::from(*on)
            ),
            Self::Smt(on) => format!(
                "run echo {} > /sys/devices/system/cpu/smt/control",
                if *on { "on" } else { "off" }
            ),
            Self::CStates(_) => {
                "run cpupower idle-set --disable N for each other state (`cpupower idle-info` lists the numbers)"
                    .to_owned()
            }
            Self::Aslr(level) => format!("run sysctl kernel.randomize_va_space={level}"),
            Self::Thp(mode) => format!("run echo {mode} > /sys/kernel/mm/transparent_hugepage/enabled"),
            Self::Ksm(on) => format!("run echo {} > /sys/kernel/mm/ksm/run", u8::from(*on)),
            Self::Swap(false) => "run swapoff --all".to_owned(),
            Self::Swap(true) => "run swapon --all".to_owned(),
            Self::Clocksource(name) => {
                format!("run echo {name} > /sys/devices/system/clocksource/clocksource0/current_clocksource")
            }
            Self::Cgroup(version) => format!("boot with systemd.unified_cgroup_hierarchy={}", u8::from(*version == 2)),
            Self::Kernel(_) => "boot that kernel, or set the running one".to_owned(),
            Self::Microcode(_) => "install that microcode and reboot, or set the loaded one".to_owned(),
            Self::BareMetal(_) => "use another machine, or waive it".to_owned(),
            Self::Isolated(cpus) => format!("boot with isolcpus={cpus}"),
            Self::MaxLoad(_) => "stop other processes (`top`), and wait a minute".to_owned(),
            Self::MinFreeMib(_) => "stop other processes that use memory (`ps aux --sort -rss`)".to_owned(),
            Self::MaxTemperature(_) => "let it cool down, and check its fans".to_owned(),
            Self::Disjoint(_) => {
                "assign exclusive CPUs: cpuset in [resources], cpus in [generator], and cpus in runner.toml".to_owned()
            }
        }
    }
}
