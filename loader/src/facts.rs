//! Facts about the load generator's machine, for the results.

use std::fs;

use protocol::load::MachineFacts;
use protocol::spec::CpuSet;

/// Reads the facts of this machine; unreadable ones are `unknown` or 0.
#[must_use]
pub fn read(pinned: Option<CpuSet>) -> MachineFacts {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let line = |path: &str| Some(text(path).trim().to_owned()).filter(|t| !t.is_empty());
    let unknown = || "unknown".to_owned();
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    MachineFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("JUNG_COMMIT").map(str::to_owned),
        machine: line("/proc/sys/kernel/hostname").unwrap_or_else(unknown),
        os: value(&text("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or_else(unknown),
        kernel: line("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
        arch: std::env::consts::ARCH.to_owned(),
        cpu_model: value(&text("/proc/cpuinfo"), "model name", ':').unwrap_or_else(unknown),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes: value(&text("/proc/meminfo"), "MemTotal", ':').map_or(0, |v| kibibytes(&v)),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        pinned,
        limits: Some(crate::limits::of_this_machine()),
    }
}

/// The value of `key` on the first line that has it, without quotes.
fn value(text: &str, key: &str, separator: char) -> Option<String> {
    let found = text.lines().find_map(|line| {
        let (name, value) = line.split_once(separator)?;
        (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    })?;
    Some(found).filter(|v| !v.is_empty())
}

/// Parses `123 kB` as bytes; 0 if invalid.
fn kibibytes(text: &str) -> u64 {
    let number = text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
    number.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_value_files_are_parsed() {
        let os = "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n";
        assert_eq!(value(os, "PRETTY_NAME", '=').as_deref(), Some("Debian GNU/Linux 12"));
        assert_eq!(
            value("model name\t: Xeon: X\n", "model name", ':').as_deref(),
            Some("Xeon: X")
        );
        assert_eq!(value("", "MemTotal", ':'), None);
        assert_eq!((kibibytes("16 kB"), kibibytes("x")), (16_384, 0));
        assert!(read(None).cpus > 0);
    }
}
