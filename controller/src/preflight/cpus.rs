//! CPUs that services, runner and load generator share, so that they disturb each other.

use std::fmt;

use protocol::facts::HostFacts;
use protocol::load::LoadKind;
use protocol::spec::{CpuSet, Resources};

use super::generator::GeneratorHost;
use crate::config::{Experiment, Load};

/// Two users of the same CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    one: String,
    other: String,
    cpus: CpuSet,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {} share CPU {}", self.one, self.other, self.cpus)
    }
}

/// The name of a load generator in messages, and the CPUs that it uses for a load.
fn generator_cpus(generator: &GeneratorHost, load: &Load, all: &CpuSet) -> (String, CpuSet) {
    let name = match &generator.name {
        Some(name) => format!("loader {name} of load {}", load.name),
        None => format!("the load generator of load {}", load.name),
    };
    let cpus = generator.pinned.clone().or_else(|| load.cpus());
    (name, cpus.unwrap_or_else(|| all.clone()))
}

/// All pairs that share CPUs. Without a cpuset, all online CPUs are assumed. A load generator shares CPUs with the others
/// only on the same machine, i.e. with the same boot id.
#[must_use]
pub fn overlaps(experiment: &Experiment, facts: &HostFacts, generators: &[GeneratorHost]) -> Vec<Overlap> {
    let Some(all) = all(facts) else { return Vec::new() };
    let services = experiment.resources.cpuset.clone().unwrap_or_else(|| all.clone());
    let runner = facts.runner_cpus.clone().unwrap_or_else(|| all.clone());
    let mut users = vec![("the services".to_owned(), services), ("the runner".to_owned(), runner)];
    let is_same_machine =
        |generator: &&GeneratorHost| generator.boot_id.is_some() && generator.boot_id == facts.settings.boot_id;
    for generator in generators.iter().filter(is_same_machine) {
        let is_idle = |load: &&Load| matches!(load.spec.kind, LoadKind::None(_));
        let loads = experiment.loads.iter().filter(|load| !is_idle(load));
        users.extend(loads.map(|load| generator_cpus(generator, load, &all)));
    }
    let mut found = Vec::new();
    for (index, (one, own)) in users.iter().enumerate() {
        // Two loads never run at the same time: each is compared with services and runner only.
        for (other, others) in users.iter().take(2).take(index) {
            let shared = own.shared(others);
            if let Some(cpus) = CpuSet::of(shared) {
                found.push(Overlap {
                    one: other.clone(),
                    other: one.clone(),
                    cpus,
                });
            }
        }
    }
    found
}

/// CPUs and memory nodes of `[resources]` that the host does not have, one line each. Without known NUMA nodes nothing is reported.
pub(super) fn missing(resources: &Resources, facts: &HostFacts) -> Vec<String> {
    let nodes = &facts.cpu.nodes;
    let listed = nodes.iter().filter_map(|node| node.cpus.as_ref());
    let cpus = CpuSet::of(listed.flat_map(|cpus| cpus.cpus().iter().copied()).collect());
    let mems = CpuSet::of(nodes.iter().map(|node| node.node).collect());
    let kinds = [
        ("cpuset", "CPUs", &resources.cpuset, cpus),
        ("mems", "memory nodes", &resources.mems, mems),
    ];
    let line = |(key, what, wanted, there): (_, _, &Option<CpuSet>, Option<CpuSet>)| {
        let (wanted, there) = (wanted.as_ref()?, there?);
        let missing = wanted.without(&there)?;
        Some(format!(
            "[resources] {key} = \"{wanted}\": host {} has {what} {there}, not {missing}; use existing {what}, or remove {key}",
            facts.host
        ))
    };
    kinds.into_iter().filter_map(line).collect()
}

/// The CPUs of the host: those of its NUMA nodes, otherwise 0 to n - 1.
fn all(facts: &HostFacts) -> Option<CpuSet> {
    let nodes = facts.cpu.nodes.iter().filter_map(|node| node.cpus.as_ref());
    let listed: Vec<u32> = nodes.flat_map(|cpus| cpus.cpus().iter().copied()).collect();
    CpuSet::of(listed).or_else(|| CpuSet::of((0..facts.cpus).collect()))
}
