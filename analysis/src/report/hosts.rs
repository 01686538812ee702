//! The hosts and programs of a run, as rows of a table.

use std::collections::BTreeMap;

use protocol::facts::{CpuFacts, HostFacts, KernelFacts, MemoryFacts};

use super::load::RunData;
use super::metric::MIB;
use protocol::load::{MachineFacts, Scheduling};

use crate::store::LoaderMachine;

/// Every row: what it is, and its value.
pub(super) fn hosts(data: &RunData) -> Vec<(String, String)> {
    let manifest = &data.manifest;
    let mut rows = controller(&manifest.controller);
    rows.extend(manifest.loaders.iter().map(loader));
    rows.extend(manifest.hosts.iter().flat_map(host));
    rows.extend(scheduling(data));
    if !manifest.preflight.met.is_empty() {
        rows.push(("Required and met".to_owned(), manifest.preflight.met.join("; ")));
    }
    let source = &manifest.source;
    rows.push((
        "Experiment file".to_owned(),
        format!("{}, SHA-256 {}", source.path, source.sum.sha256),
    ));
    rows
}

/// How the kernel scheduled the generator's threads, where the records tell.
fn scheduling(data: &RunData) -> Option<(String, String)> {
    let mut counts: BTreeMap<Scheduling, u32> = BTreeMap::new();
    let generators = data.trials.iter().filter_map(|trial| trial.record.generator.as_ref());
    for scheduling in generators.filter_map(|generator| generator.scheduling) {
        *counts.entry(scheduling).or_default() += 1;
    }
    let word = |scheduling: &Scheduling| match scheduling {
        Scheduling::RealTime => "in real time (SCHED_FIFO, priority 1)",
        Scheduling::GaveUp => "in real time until a thread was busy for more than half of the time",
        Scheduling::Refused => {
            "like any other thread, since real time was refused (CAP_SYS_NICE or RLIMIT_RTPRIO allows it)"
        }
        Scheduling::Normal => "like any other thread",
    };
    let lines: Vec<_> = counts
        .iter()
        .map(|(scheduling, n)| format!("{}: {n} trials", word(scheduling)))
        .collect();
    (!lines.is_empty()).then(|| ("Scheduling of the generator".to_owned(), lines.join("; ")))
}

fn controller(c: &MachineFacts) -> Vec<(String, String)> {
    let commit = c.commit.as_deref().unwrap_or("commit unknown");
    let machine = machine(&c.os, &c.kernel, &c.arch, c.cpus, &c.cpu_model, c.memory_bytes);
    vec![
        (
            "Controller".to_owned(),
            format!("{} {} ({commit})", c.machine, c.version),
        ),
        ("Controller's host".to_owned(), machine),
        ("Controller's CPU governor".to_owned(), governor(c.governor.as_deref())),
    ]
}

fn loader(LoaderMachine { name, facts }: &LoaderMachine) -> (String, String) {
    let machine = machine(
        &facts.os,
        &facts.kernel,
        &facts.arch,
        facts.cpus,
        &facts.cpu_model,
        facts.memory_bytes,
    );
    let pinned = facts.pinned.as_ref();
    let pinned = pinned.map_or_else(String::new, |cpus| format!(", on CPUs {cpus}"));
    let value = format!(
        "{} {}{pinned}: {machine}, governor {}",
        facts.machine,
        facts.version,
        governor(facts.governor.as_deref())
    );
    (format!("Loader {name}"), value)
}

fn host(host: &HostFacts) -> Vec<(String, String)> {
    let runner = match &host.runner_cpus {
        Some(cpus) => format!("{}, on CPUs {cpus}", host.runner_version),
        None => host.runner_version.clone(),
    };
    let machine = machine(
        &host.os,
        &host.kernel,
        &host.arch,
        host.cpus,
        &host.cpu_model,
        host.memory_bytes,
    );
    let cgroup = host.cgroup_version.map_or("none".to_owned(), |v| format!("v{v}"));
    let kvm = if host.kvm_opens {
        "opens (which proves no acceleration)"
    } else {
        "does not open"
    };
    let mut rows = vec![
        ("runner".to_owned(), runner),
        ("host".to_owned(), machine),
        (
            "CPU governor, cgroups, /dev/kvm".to_owned(),
            format!("{}, {cgroup}, {kvm}", governor(host.cpu.governor.as_deref())),
        ),
        ("processors".to_owned(), processors(&host.cpu)),
        ("kernel".to_owned(), kernel(&host.settings)),
        ("memory".to_owned(), memory(&host.memory)),
        ("when asked".to_owned(), now(host)),
    ];
    for program in &host.programs {
        rows.push((program.path.clone(), format!("SHA-256 {}", program.sha256)));
    }
    for platform in host.platforms.iter().filter(|p| !p.details.is_empty()) {
        let details: Vec<_> = platform.details.iter().map(|(k, v)| format!("{k} {v}")).collect();
        // Several platforms of one kind differ in what they run on.
        let runtime = platform.details.get("runtime").map(|runtime| format!(", {runtime}"));
        let kind = format!("{}{}", platform.kind, runtime.unwrap_or_default());
        rows.push((kind, details.join(", ")));
    }
    let named = |(what, value)| (format!("{}: {what}", host.host), value);
    rows.into_iter().map(named).collect()
}

fn machine(os: &str, kernel: &str, arch: &str, cpus: u32, cpu_model: &str, memory_bytes: u64) -> String {
    let gib = memory_bytes as f64 / MIB / 1024.0;
    format!("{os}, Linux {kernel}, {arch}, {cpus} × {cpu_model}, {gib:.1} GiB")
}

fn governor(governor: Option<&str>) -> String {
    governor.unwrap_or("none visible").to_owned()
}

/// A switch; what is not known is not said.
fn switch(what: &str, on: Option<bool>) -> Option<String> {
    on.map(|on| format!("{what} {}", if on { "on" } else { "off" }))
}

fn processors(cpu: &CpuFacts) -> String {
    let count = |n: Option<u32>, what: &str| n.map(|n| format!("{what}: {n}"));
    let nodes = (!cpu.nodes.is_empty()).then(|| format!("NUMA nodes: {}", cpu.nodes.len()));
    let sleeps = (!cpu.idle_states.is_empty()).then(|| format!("idle states {}", cpu.idle_states.join(", ")));
    let clock = cpu.max_khz.map(|khz| format!("up to {} MHz", khz / 1000));
    let cpus = |what: &str, set: &Option<_>| set.as_ref().map(|set: &protocol::spec::CpuSet| format!("{what} {set}"));
    some([
        count(cpu.sockets, "sockets"),
        count(cpu.cores, "cores"),
        switch("SMT", cpu.smt),
        nodes,
        cpu.driver.clone(),
        clock,
        switch("turbo", cpu.turbo),
        sleeps,
        cpu.microcode.as_ref().map(|revision| format!("microcode {revision}")),
        cpus("isolated", &cpu.isolated),
        cpus("without ticks", &cpu.nohz_full),
        (cpu.is_virtual == Some(true)).then(|| "a virtual machine itself".to_owned()),
    ])
}

fn kernel(kernel: &KernelFacts) -> String {
    let weak: Vec<_> = kernel.mitigations.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    some([
        kernel.clocksource.as_ref().map(|clock| format!("clock {clock}")),
        kernel.aslr.map(|level| format!("ASLR {level}")),
        kernel
            .halt_poll_ns
            .map(|ns| format!("KVM polls {ns} ns before it halts")),
        kernel.command_line.as_ref().map(|line| format!("started with {line}")),
        (!weak.is_empty()).then(|| format!("mitigations: {}", weak.join("; "))),
    ])
}

fn memory(memory: &MemoryFacts) -> String {
    some([
        memory.thp.as_ref().map(|mode| format!("transparent huge pages {mode}")),
        switch("KSM", memory.ksm),
        memory.swap_bytes.map(|bytes| match bytes {
            0 => "no swap".to_owned(),
            bytes => format!("{:.0} MiB of swap", bytes as f64 / MIB),
        }),
        memory.huge_pages.filter(|&n| n > 0).map(|n| format!("{n} huge pages")),
    ])
}

fn now(host: &HostFacts) -> String {
    let now = &host.now;
    some([
        now.load_1m.map(|load| format!("load {load}")),
        now.available_bytes
            .map(|bytes| format!("{:.0} MiB of memory free", bytes as f64 / MIB)),
        now.hottest().map(|degrees| format!("{degrees:.0} °C")),
        now.throttles
            .map(|n| format!("slowed down for heat {n} times since boot")),
    ])
}

/// What is known, with commas between.
fn some<const N: usize>(parts: [Option<String>; N]) -> String {
    let known: Vec<String> = parts.into_iter().flatten().collect();
    if known.is_empty() {
        "unknown".to_owned()
    } else {
        known.join(", ")
    }
}
