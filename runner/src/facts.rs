//! What this host is, and which platforms can be used on it.
//!
//! Readers of `/proc` and `/sys` take a root, so that they can be tested on recorded files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use deploy::{AnyDriver, Driver, Host};
use nix::unistd::{SysconfVar, sysconf};
use protocol::facts::{HostFacts, PlatformFacts, Unmet};
use protocol::spec::PlatformSpec;
use sysinfo::System;

/// How long a platform may take to say whether it can be used.
const PROBE: Duration = Duration::from_secs(20);

/// Everything about this host, with the platforms asked about proven now.
pub async fn facts(host: &Host, platforms: &[PlatformSpec]) -> HostFacts {
    let mut proven = Vec::new();
    for spec in platforms {
        proven.push(probe(host, spec).await);
    }
    HostFacts {
        host: host.runner.clone(),
        runner_version: env!("CARGO_PKG_VERSION").to_owned(),
        os: System::long_os_version().unwrap_or_default(),
        kernel: System::kernel_version().unwrap_or_default(),
        arch: std::env::consts::ARCH.to_owned(),
        cpu_model: cpu_model(),
        cpus: online_cpus(),
        memory_bytes: memory_bytes(),
        clock_ticks_per_s: configured(SysconfVar::CLK_TCK, 100),
        page_bytes: page_bytes(),
        cgroup_version: cgroup_version(Path::new("/sys")),
        governor: governor(Path::new("/sys")),
        kvm_opens: opens(Path::new("/dev/kvm")),
        load_1m: System::load_average().map_or(0.0, |load| load.one),
        platforms: proven,
    }
}

/// Size of a page, bytes.
#[must_use]
pub fn page_bytes() -> u64 {
    configured(SysconfVar::PAGE_SIZE, 4096)
}

/// Whether a platform can be used; one that does not answer cannot.
pub async fn probe(host: &Host, spec: &PlatformSpec) -> PlatformFacts {
    let driver = AnyDriver::for_platform(spec, host);
    let facts = tokio::time::timeout(PROBE, driver.probe()).await;
    facts.unwrap_or_else(|_| PlatformFacts {
        kind: spec.kind(),
        unmet: Some(Unmet {
            need: format!("{} has to answer within {} s", spec.kind(), PROBE.as_secs()),
            remedy: "see what hangs there, or start it again".to_owned(),
        }),
        details: BTreeMap::new(),
    })
}

fn configured(what: SysconfVar, usual: u64) -> u64 {
    let value = sysconf(what).ok().flatten();
    value.and_then(|value| u64::try_from(value).ok()).unwrap_or(usual)
}

fn cpu_model() -> String {
    let Ok(mut system) = System::new() else {
        return String::new();
    };
    system.refresh_cpu_list(sysinfo::CpuRefreshKind::nothing());
    system
        .cpus()
        .first()
        .map(|cpu| cpu.brand().to_owned())
        .unwrap_or_default()
}

fn online_cpus() -> u32 {
    u32::try_from(configured(SysconfVar::_NPROCESSORS_ONLN, 1)).unwrap_or(u32::MAX)
}

fn memory_bytes() -> u64 {
    let Ok(mut system) = System::new() else { return 0 };
    system.refresh_memory();
    system.total_memory()
}

/// 2 where the unified hierarchy is mounted at the top; a hybrid, with version 2 for systemd alone, counts as 1.
fn cgroup_version(sys: &Path) -> Option<u8> {
    let top = sys.join("fs/cgroup");
    if top.join("cgroup.controllers").exists() {
        return Some(2);
    }
    let is_mounted = ["memory", "cpu", "cpuacct", "cpuset"]
        .iter()
        .any(|name| top.join(name).exists());
    is_mounted.then_some(1)
}

/// The governor of all CPUs; of several, each once with commas between.
fn governor(sys: &Path) -> Option<String> {
    let cpus = fs::read_dir(sys.join("devices/system/cpu")).ok()?;
    let read = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cpufreq/scaling_governor")).ok();
    let found: BTreeSet<String> = cpus
        .filter_map(|entry| Some(read(entry.ok()?)?.trim().to_owned()))
        .collect();
    let found: Vec<String> = found.into_iter().collect();
    (!found.is_empty()).then(|| found.join(","))
}

fn opens(device: &Path) -> bool {
    fs::File::options().read(true).write(true).open(device).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sys(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_cgroup_version_is_told() {
        let unified = sys(&[("fs/cgroup/cgroup.controllers", "cpu memory\n")]);
        let hybrid = sys(&[
            ("fs/cgroup/unified/cgroup.controllers", ""),
            ("fs/cgroup/memory/tasks", ""),
        ]);
        assert_eq!(cgroup_version(unified.path()), Some(2));
        assert_eq!(cgroup_version(hybrid.path()), Some(1));
        assert_eq!(cgroup_version(sys(&[]).path()), None);
    }

    #[test]
    fn governors_are_told_once_each() {
        let file = |cpu: u32| format!("devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        let mixed = sys(&[
            (&file(0), "powersave\n"),
            (&file(1), "performance\n"),
            (&file(2), "powersave\n"),
        ]);
        assert_eq!(governor(mixed.path()).as_deref(), Some("performance,powersave"));
        assert_eq!(governor(sys(&[("devices/system/cpu/online", "0")]).path()), None);
        assert_eq!(governor(sys(&[]).path()), None);
    }

    #[tokio::test]
    async fn this_host_has_facts() {
        let host = Host {
            runner: crate::testing::name("lab"),
            address: crate::config::defaults::ADDRESS,
            workload: "/nowhere/workload".into(),
            state: "/nowhere".into(),
        };
        let facts = facts(&host, &[PlatformSpec::Fake(Default::default())]).await;
        assert!(facts.cpus > 0 && facts.memory_bytes > 0 && facts.clock_ticks_per_s > 0);
        assert!(facts.page_bytes.is_power_of_two() && !facts.kernel.is_empty());
        assert_eq!(facts.platforms.len(), 1);
    }
}
