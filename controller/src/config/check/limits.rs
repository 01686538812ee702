//! `[resources]`, `[sampling]`, and what can only be said of the experiment as a whole.

use std::time::Duration;

use protocol::spec::Resources;

use super::at::At;
use super::{jung, value};
use crate::config::problem::{Fault, Problem};
use crate::config::raw::{RawExperiment, RawResources, RawSampling};
use crate::config::{Brokers, Experiment};
use protocol::load::LoadKind;

/// The most trials of a run.
const MAX_TRIALS: usize = 1_000_000;

/// Checks `[resources]`; `None` has left a problem.
pub(super) fn resources(raw: &RawResources, problems: &mut Vec<Problem>) -> Option<Resources> {
    let mut at = At::new(&raw.section, problems);
    let cpuset = at.optional(&raw.cpuset, value::cpus);
    let mems = at.optional(&raw.mems, value::cpus);
    let memory_mib = at.optional(&raw.memory_mib, value::whole("a memory limit in MiB", 4..=1 << 24, 512));
    Some(Resources {
        cpuset: cpuset?,
        mems: mems?,
        memory_mib: memory_mib?,
    })
}

/// Checks `[sampling]`: the interval, and how long the idle host is measured before a trial. `None` has left a problem.
pub(super) fn sampling(raw: &RawSampling, problems: &mut Vec<Problem>) -> Option<(Duration, Duration)> {
    let mut at = At::new(&raw.section, problems);
    let range = Duration::from_millis(100)..=Duration::from_secs(10);
    let interval = at.or(
        &raw.interval,
        Duration::from_secs(1),
        value::within("a sampling interval", range, "1s"),
    );
    let idle = at.or(
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
        At::new(&raw.head.section, problems).error(&raw.head.iterations, fault);
    }
    jung::fit(raw, experiment, problems);
    partners(raw, experiment, problems);
    for (raw_load, load) in raw.loads.iter().zip(&experiment.loads) {
        let mut at = At::new(&raw_load.keys.section, problems);
        let short = |window: Duration| window < experiment.sampling_interval * 2;
        let fault = Fault::new(
            "the measured window holds fewer than two samples of CPU and memory",
            "lengthen it, or shorten [sampling] interval",
        );
        match &load.spec.kind {
            LoadKind::Udp(udp) if short(udp.expected()) => at.warn(&raw_load.keys.packets, fault),
            kind if short(kind.timing().duration) => at.warn(&raw_load.keys.duration, fault),
            _ => {}
        }
        if let Some(shared) = shared_cpu(experiment, load.spec.kind.cpus()) {
            let what =
                format!("the services' cpuset has CPU {shared} too, and controller and runner share this machine");
            at.warn(
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
            At::new(&raw.keys.section, problems).error(&raw.keys.kind, fault);
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
            At::new(&raw.section, problems).error(&raw.kind, fault);
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

/// Whether the brokers can be reached from this machine only, so that the runner must be on it.
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
