//! Facts about this host, and which platforms can be used on it.
//!
//! * [`tree`]: `/proc` and `/sys`, or recorded ones.
//! * [`cpu`], [`kernel`], [`now`]: what is read there, as functions of the tree.
//! * [`programs`]: the programs that platforms depend on, by hash.
//!
//! What cannot be read is absent, never guessed.

pub mod cpu;
pub mod kernel;
pub mod now;
pub mod programs;
#[cfg(test)]
mod recorded;
pub mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use deploy::{AnyDriver, Driver, Host};
use nix::unistd::{SysconfVar, sysconf};
use protocol::command::Describe;
use protocol::facts::{HostFacts, HostState, PlatformFacts, Unmet};
use protocol::spec::{CpuSet, PlatformSpec};
use sysinfo::System;

use crate::kernel_log::{self, KernelLog};
use crate::services::Catalog;
use tree::{Tree, value};

/// How long the probe of a platform may take.
const PROBE: Duration = Duration::from_secs(20);

/// All facts, with probes of these platforms. Without platforms, only what is cheap to read.
pub async fn facts(host: &Host, platforms: &[PlatformSpec]) -> HostFacts {
    let mut probed = Vec::new();
    for spec in platforms {
        probed.push(probe(host, spec).await);
    }
    let (programs, kernel_log) = if platforms.is_empty() {
        (Vec::new(), None)
    } else {
        let workload = host.workload.clone();
        let read = move || (programs::read(&workload), newest_message());
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    };
    let tree = Tree::default();
    HostFacts {
        host: host.runner.clone(),
        runner_version: env!("CARGO_PKG_VERSION").to_owned(),
        runner_cpus: tree.text("proc/self/status").and_then(|status| allowed(&status)),
        os: System::long_os_version().unwrap_or_default(),
        kernel: System::kernel_version().unwrap_or_default(),
        arch: std::env::consts::ARCH.to_owned(),
        cpu_model: cpu_model(),
        cpus: online_cpus(),
        memory_bytes: memory_bytes(),
        clock_ticks_per_s: configured(SysconfVar::CLK_TCK, 100),
        page_bytes: page_bytes(),
        cgroup_version: cgroup_version(&tree),
        kvm_opens: opens(Path::new("/dev/kvm")),
        cpu: cpu::read(&tree),
        settings: kernel::read(&tree),
        memory: kernel::memory(&tree),
        now: HostState {
            kernel_log,
            ..now::read(&tree)
        },
        programs,
        platforms: probed,
        services: Vec::new(),
    }
}

/// The facts that a DESCRIBE asks for: with whether its services can run here, and whether its platforms are allowed.
pub async fn described(host: &Host, catalog: &Catalog, describe: &Describe) -> HostFacts {
    let mut facts = facts(host, &describe.platforms).await;
    for (platform, facts) in describe.platforms.iter().zip(&mut facts.platforms) {
        if let Err(unmet) = catalog.allow().platform(platform) {
            facts.unmet = Some(unmet);
        }
    }
    let (catalog, describe) = (catalog.clone(), describe.clone());
    // Files are read.
    let services = tokio::task::spawn_blocking(move || {
        let services = describe.services.iter();
        services
            .map(|service| catalog.facts(service, &describe.platforms))
            .collect()
    });
    facts.services = services.await.unwrap_or_default();
    facts
}

/// The number of the kernel's latest message.
fn newest_message() -> Option<u64> {
    let mut log = KernelLog::from_the_start(Path::new(kernel_log::DEVICE)).ok()?;
    Some(log.read().last()?.number)
}

/// The CPUs on which a process may run, from its `/proc/PID/status`.
fn allowed(status: &str) -> Option<CpuSet> {
    value(status, "Cpus_allowed_list")?.parse().ok()
}

/// Page size, bytes.
#[must_use]
pub fn page_bytes() -> u64 {
    configured(SysconfVar::PAGE_SIZE, 4096)
}

/// Whether a platform can be used. One whose probe times out cannot.
pub async fn probe(host: &Host, spec: &PlatformSpec) -> PlatformFacts {
    let driver = AnyDriver::for_platform(spec, host);
    let facts = tokio::time::timeout(PROBE, driver.probe()).await;
    facts.unwrap_or_else(|_| PlatformFacts {
        kind: spec.kind(),
        unmet: Some(Unmet {
            need: format!("{} must answer a probe within {} s", spec.kind(), PROBE.as_secs()),
            remedy: "find out why it hangs, or restart it".to_owned(),
        }),
        details: BTreeMap::new(),
    })
}

fn configured(variable: SysconfVar, default: u64) -> u64 {
    let value = sysconf(variable).ok().flatten();
    value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default)
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

/// 2 if the unified hierarchy is mounted at the top; a hybrid host, where only systemd uses version 2, counts as 1.
fn cgroup_version(tree: &Tree) -> Option<u8> {
    if tree.has("sys/fs/cgroup/cgroup.controllers") {
        return Some(2);
    }
    let is_mounted = ["memory", "cpu", "cpuacct", "cpuset"]
        .iter()
        .any(|name| tree.has(&format!("sys/fs/cgroup/{name}")));
    is_mounted.then_some(1)
}

fn opens(device: &Path) -> bool {
    fs::File::options().read(true).write(true).open(device).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(facts.runner_cpus.is_some() && facts.settings.boot_id.is_some());
        assert!(facts.now.load_1m.is_some() && facts.now.all_ticks > facts.now.busy_ticks);
        assert!(facts.programs.iter().all(|program| program.sha256.len() == 64));
        assert!(!facts.programs.is_empty(), "at least this program");
    }
}
