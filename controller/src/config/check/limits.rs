//! `[resources]`, `[sampling]`, `[deadlines]`, and what depends on several tables.

use std::time::Duration;

use protocol::load::LoadKind;
use protocol::spec::Resources;
use protocol::toml::{Fault, Problem, TableCheck, value};

use super::workload;
use crate::config::raw::{RawDeadlines, RawExperiment, RawResources, RawSampling};
use crate::config::{Brokers, Experiment, PhaseDeadlines};

/// The most trials of a run.
const MAX_TRIALS: usize = 1_000_000;

/// Checks `[resources]`; `None`: a problem is reported.
pub(super) fn resources(raw: &RawResources, problems: &mut Vec<Problem>) -> Option<Resources> {
    let mut table = TableCheck::new(&raw.section, problems);
    let cpuset = table.optional(&raw.cpuset, value::any);
    let mems = table.optional(&raw.mems, value::any);
    let memory_mib = table.optional(
        &raw.memory_mib,
        value::integer("a memory limit in MiB", 4..=1 << 24, 512),
    );
    Some(Resources {
        cpuset: cpuset?,
        mems: mems?,
        memory_mib: memory_mib?,
    })
}

/// Checks `[sampling]`: the interval, and how long the idle host is measured before a trial. `None`: a problem is reported.
pub(super) fn sampling(raw: &RawSampling, problems: &mut Vec<Problem>) -> Option<(Duration, Duration)> {
    let mut table = TableCheck::new(&raw.section, problems);
    let range = Duration::from_millis(100)..=Duration::from_secs(10);
    let interval = table.or(
        &raw.interval,
        Duration::from_secs(1),
        value::within("a sampling interval", range, "1s"),
    );
    let idle = table.or(
        &raw.idle,
        Duration::from_secs(1),
        value::within("an idle window", Duration::ZERO..=Duration::from_secs(600), "1s"),
    );
    Some((interval?, idle?))
}

/// What no table says alone: too many trials, windows shorter than two samples, a generator on the services' CPUs.
pub(super) fn whole(raw: &RawExperiment, experiment: &Experiment, problems: &mut Vec<Problem>) {
    let cells = experiment.platforms.len() * experiment.workloads.len() * experiment.loads.len();
    if cells.saturating_mul(experiment.iterations as usize) > MAX_TRIALS {
        let what = format!(
            "{} iterations of {cells} cells are over {MAX_TRIALS} trials",
            experiment.iterations
        );
        let fault = Fault::new(what, "lower iterations, or split the experiment");
        TableCheck::new(&raw.head.section, problems).error(&raw.head.iterations, fault);
    }
    workload::check_jung_loads(raw, experiment, problems);
    partners(raw, experiment, problems);
    for (raw_load, load) in raw.loads.iter().zip(&experiment.loads) {
        let mut table = TableCheck::new(&raw_load.keys.section, problems);
        let short = |window: Duration| window < experiment.sampling_interval * 2;
        let fault = Fault::new(
            "the measurement window holds fewer than two samples of CPU and memory",
            "lengthen it, or shorten [sampling] interval",
        );
        match &load.spec.kind {
            LoadKind::Udp(udp) if short(udp.expected()) => table.warn(&raw_load.keys.packets, fault),
            // It ends by itself.
            LoadKind::Command(command) if command.timing.duration.is_zero() => {}
            kind if short(kind.timing().duration) => table.warn(&raw_load.keys.duration, fault),
            _ => {}
        }
        if let Some(shared) = shared_cpu(experiment, load.spec.kind.cpus()) {
            let what =
                format!("the services' cpuset has CPU {shared} too, and controller and runner share this machine");
            table.warn(
                &raw_load.keys.cpus,
                Fault::new(what, "give the generator CPUs of its own"),
            );
        }
    }
}

/// A load that goes with no workload, and a workload that no load goes to, are mistakes; all other pairs of unlike speech are just no cells.
fn partners(raw: &RawExperiment, experiment: &Experiment, problems: &mut Vec<Problem>) {
    let (loads, workloads) = (&experiment.loads, &experiment.workloads);
    for (raw, load) in raw.loads.iter().zip(loads) {
        if !workloads
            .iter()
            .any(|workload| load.spec.kind.supports(workload.kind.transport()))
        {
            let fault = Fault::new(
                "no workload of the file goes with this load",
                "loads of kind \"udp\" need a [[workload]] of kind \"udp\", all others one of another kind",
            );
            TableCheck::new(&raw.keys.section, problems).error(&raw.keys.kind, fault);
        }
    }
    for (raw, workload) in raw.workloads.iter().zip(workloads) {
        if !loads
            .iter()
            .any(|load| load.spec.kind.supports(workload.kind.transport()))
        {
            let fault = Fault::new(
                "no load of the file goes with this workload",
                "a [[workload]] of kind \"udp\" needs a [[load]] of kind \"udp\", all others one of another kind",
            );
            TableCheck::new(&raw.keys.section, problems).error(&raw.keys.kind, fault);
        }
    }
}

/// A CPU that both the generator and the services would run on.
fn shared_cpu(experiment: &Experiment, cpus: &[u32]) -> Option<u32> {
    let services = experiment
        .resources
        .cpuset
        .as_ref()
        .filter(|_| experiment.loaders.is_empty())?;
    let shared = cpus.iter().find(|&cpu| services.cpus().contains(cpu));
    shared.filter(|_| on_one_machine(&experiment.kafka.brokers)).copied()
}

/// Whether only this machine can reach the brokers, so that the runner must be on it.
fn on_one_machine(brokers: &Brokers) -> bool {
    let loopback = |address: &str| {
        address.starts_with("127.") || address.starts_with("localhost:") || address.starts_with("[::1]:")
    };
    match brokers {
        Brokers::Embedded(embedded) => embedded
            .advertise
            .as_deref()
            .map_or_else(|| embedded.listen.ip().is_loopback(), loopback),
        Brokers::External(list) => list.split(',').all(loopback),
    }
}

/// Checks `[deadlines]`; `None`: a problem is reported.
pub(super) fn deadlines(raw: &RawDeadlines, problems: &mut Vec<Problem>) -> Option<PhaseDeadlines> {
    let s = Duration::from_secs;
    let long = Duration::from_millis(100)..=s(24 * 3600);
    let within = |example| value::within("a deadline", long.clone(), example);
    let mut table = TableCheck::new(&raw.section, problems);
    let runner = table.or(&raw.runner, s(60), within("1m"));
    let answer = table.or(&raw.answer, s(20), within("20s"));
    let prepare = table.or(&raw.prepare, s(300), within("5m"));
    let ready = table.or(&raw.ready, s(60), within("1m"));
    let seed = table.or(&raw.seed, s(120), within("2m"));
    let lease = table.or(&raw.lease, s(15), value::within("a lease", s(1)..=s(24 * 3600), "15s"));
    let grace = table.or(&raw.grace, s(10), within("10s"));
    Some(PhaseDeadlines {
        runner: runner?,
        answer: answer?,
        prepare: prepare?,
        ready: ready?,
        seed: seed?,
        lease: lease?,
        grace: grace?,
    })
}
