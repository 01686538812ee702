//! The hosts and programs of a run, as rows of a table.

use std::collections::BTreeMap;

use protocol::Name;
use protocol::facts::{CpuFacts, HostFacts, KernelFacts, MemoryFacts};
use protocol::load::{Awake, MachineFacts, Scheduling, TlsStats};

use super::format::{Table, count, number};
use super::load::RunData;
use super::metric::MIB;
use crate::store::{GeneratorRecord, LoaderMachine, LoaderRecord};

/// All rows, as (name, value).
pub(super) fn hosts(data: &RunData) -> Vec<(String, String)> {
    let manifest = &data.manifest;
    let mut rows = controller(&manifest.controller);
    rows.extend(manifest.loaders.iter().map(loader));
    rows.extend(manifest.hosts.iter().flat_map(host));
    rows.extend(scheduling(data));
    rows.extend(awake(data));
    rows.extend(tls(data));
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

/// How the kernel scheduled the load generator's threads, if recorded.
fn scheduling(data: &RunData) -> Option<(String, String)> {
    let word = |scheduling: &Scheduling| match scheduling {
        Scheduling::RealTime => "real-time (SCHED_FIFO, priority 1)",
        Scheduling::GaveUp => "real-time until a thread was busy for more than half of the time",
        Scheduling::Refused => "normal; real-time was refused (needs CAP_SYS_NICE or RLIMIT_RTPRIO)",
        Scheduling::Normal => "normal",
    };
    counted(
        data,
        "Load generator's scheduling",
        |generator| generator.scheduling,
        word,
    )
}

/// How CPUs were kept awake between requests, if recorded.
fn awake(data: &RunData) -> Option<(String, String)> {
    let word = |awake: &Awake| match awake {
        Awake::Latency => "a wake-up latency of 0 us (/dev/cpu_dma_latency)",
        Awake::IdlePriority => "a process of idle priority on each virtual CPU, among the other programs of its host",
        Awake::ControlGroups => {
            "not; idle priority does not yield to other control groups (start it in the root control group)"
        }
        Awake::Denied => "not; /dev/cpu_dma_latency is missing or needs root",
    };
    counted(
        data,
        "Load generator's CPUs kept awake by",
        |generator| generator.awake,
        word,
    )
}

/// A row with the number of trials of each value.
fn counted<T: Ord>(
    data: &RunData,
    row: &str,
    value: impl Fn(&GeneratorRecord) -> Option<T>,
    word: impl Fn(&T) -> &'static str,
) -> Option<(String, String)> {
    let mut counts: BTreeMap<T, u32> = BTreeMap::new();
    let generators = data.trials.iter().filter_map(|trial| trial.record.generator.as_ref());
    for value in generators.filter_map(value) {
        *counts.entry(value).or_default() += 1;
    }
    let lines: Vec<_> = counts
        .iter()
        .map(|(value, n)| format!("{}: {n} trials", word(value)))
        .collect();
    (!lines.is_empty()).then(|| (row.to_owned(), lines.join("; ")))
}

/// The TLS handshakes of all loads, if any was encrypted.
fn tls(data: &RunData) -> Option<(String, String)> {
    let mut all = TlsStats::default();
    let stats = data.trials.iter().filter_map(|trial| trial.record.tls.as_ref());
    stats.for_each(|stats| all.add(stats));
    let suites: Vec<_> = all.suites.keys().map(String::as_str).collect();
    let line = format!(
        "{} full and {} resumed; {}",
        count(all.full),
        count(all.resumed),
        suites.join(", ")
    );
    (!suites.is_empty()).then(|| ("TLS handshakes of the loads".to_owned(), line))
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
        "opens (this does not prove acceleration)"
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
        ("CPU".to_owned(), processors(&host.cpu)),
        ("kernel".to_owned(), kernel(&host.settings)),
        ("memory".to_owned(), memory(&host.memory)),
        ("state at the start".to_owned(), now(host)),
    ];
    for program in &host.programs {
        rows.push((program.path.clone(), format!("SHA-256 {}", program.sha256)));
    }
    for platform in host.platforms.iter().filter(|p| !p.details.is_empty()) {
        let details: Vec<_> = platform.details.iter().map(|(k, v)| format!("{k} {v}")).collect();
        // Platforms of one kind differ by their runtime.
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

/// A setting that is on or off; `None` if unknown.
fn switch(what: &str, on: Option<bool>) -> Option<String> {
    on.map(|on| format!("{what} {}", if on { "on" } else { "off" }))
}

fn processors(cpu: &CpuFacts) -> String {
    let count = |n: Option<u32>, what: &str| n.map(|n| format!("{what}: {n}"));
    let nodes = (!cpu.nodes.is_empty()).then(|| format!("NUMA nodes: {}", cpu.nodes.len()));
    let idle_states = (!cpu.idle_states.is_empty()).then(|| format!("idle states {}", cpu.idle_states.join(", ")));
    let clock = cpu.max_khz.map(|khz| format!("up to {} MHz", khz / 1000));
    let cpus = |what: &str, set: &Option<_>| set.as_ref().map(|set: &protocol::spec::CpuSet| format!("{what} {set}"));
    join([
        count(cpu.sockets, "sockets"),
        count(cpu.cores, "cores"),
        switch("SMT", cpu.smt),
        nodes,
        cpu.driver.clone(),
        clock,
        switch("turbo", cpu.turbo),
        idle_states,
        cpu.microcode.as_ref().map(|revision| format!("microcode {revision}")),
        cpus("isolated", &cpu.isolated),
        cpus("nohz_full", &cpu.nohz_full),
        (cpu.is_virtual == Some(true)).then(|| "virtual machine".to_owned()),
    ])
}

fn kernel(kernel: &KernelFacts) -> String {
    let mitigations: Vec<_> = kernel.mitigations.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    join([
        kernel.clocksource.as_ref().map(|clock| format!("clock source {clock}")),
        kernel.aslr.map(|level| format!("ASLR {level}")),
        kernel.halt_poll_ns.map(|ns| format!("KVM halt polling {ns} ns")),
        kernel.command_line.as_ref().map(|line| format!("command line {line}")),
        (!mitigations.is_empty()).then(|| format!("mitigations: {}", mitigations.join("; "))),
    ])
}

fn memory(memory: &MemoryFacts) -> String {
    join([
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
    join([
        now.load_1m.map(|load| format!("load {load}")),
        now.available_bytes
            .map(|bytes| format!("{:.0} MiB of memory available", bytes as f64 / MIB)),
        now.hottest().map(|degrees| format!("{degrees:.0} °C")),
        now.throttles
            .map(|n| format!("{n} thermal throttling events since boot")),
    ])
}

/// The known parts, separated by commas.
fn join<const N: usize>(parts: [Option<String>; N]) -> String {
    let known: Vec<String> = parts.into_iter().flatten().collect();
    if known.is_empty() {
        "unknown".to_owned()
    } else {
        known.join(", ")
    }
}

/// The table; `None`: the controller generated the load.
pub(super) fn loader_table(data: &RunData) -> Option<Table> {
    let mut all: BTreeMap<&Name, Vec<&LoaderRecord>> = BTreeMap::new();
    for loader in data.trials.iter().flat_map(|trial| &trial.record.loaders) {
        all.entry(&loader.host).or_default().push(loader);
    }
    if all.is_empty() {
        return None;
    }
    let head = [
        "loader",
        "trials",
        "requests",
        "failed",
        "p99 lag, ms",
        "busiest thread, % CPU",
        "waiting for a CPU, %",
        "start skew, ms",
    ];
    Some(Table {
        title: "Loaders".to_owned(),
        note: "Each load was split over these machines. Lag, CPU usage and waiting are the maximum over trials. \
               Start skew is the estimate plus its error (half a round trip to the loader), also the maximum."
            .to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: all.iter().map(|(name, trials)| loader_row(name, trials)).collect(),
    })
}

fn loader_row(name: &Name, trials: &[&LoaderRecord]) -> Vec<String> {
    let sum = |of: fn(&LoaderRecord) -> u64| trials.iter().map(|one| of(one)).sum();
    let max = |of: fn(&LoaderRecord) -> f64| trials.iter().map(|one| of(one)).fold(0.0, f64::max);
    vec![
        name.to_string(),
        count(trials.len() as u64),
        count(sum(|one| one.requests.total)),
        count(sum(|one| one.requests.failures())),
        number(max(|one| one.lag.p99_ns as f64 / 1e6)),
        number(max(|one| one.generator.busiest_share * 100.0)),
        number(max(|one| one.generator.run_queue_share * 100.0)),
        number(max(|one| one.max_skew_ns() as f64 / 1e6)),
    ]
}
