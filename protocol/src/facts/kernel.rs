//! The kernel's settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the kernel was built, started and set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelFacts {
    /// Its build (`/proc/sys/kernel/version`).
    pub build: Option<String>,
    /// Its command line (`/proc/cmdline`); what follows `--` is for the first process and left out.
    pub command_line: Option<String>,
    /// This boot (`/proc/sys/kernel/random/boot_id`): two programs that read the same one are on the same machine.
    pub boot_id: Option<String>,
    /// The clock in use (`/sys/devices/system/clocksource/clocksource0/current_clocksource`).
    pub clocksource: Option<String>,
    /// Address space randomisation, 0 to 2 (`/proc/sys/kernel/randomize_va_space`).
    pub aslr: Option<u8>,
    /// What is done against each weakness of the processor (`/sys/devices/system/cpu/vulnerabilities`), without those that do not affect it.
    pub mitigations: BTreeMap<String, String>,
    /// How long KVM polls for an idle guest before it lets the CPU go, ns (`/sys/module/kvm/parameters/halt_poll_ns`).
    pub halt_poll_ns: Option<u64>,
}
