//! CPUs that services, runner and generator share: then each measures the others, too.

use std::fmt;

use protocol::facts::HostFacts;
use protocol::spec::CpuSet;

use crate::config::{Experiment, Load, LoadKind};

/// Two that have CPUs in common.
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

/// Every two that share CPUs. Whoever is not told which it may use counts as using all that are online. The generator shares with the others
/// only if it is on their machine, which is so if `boot_id` (of the controller's) is theirs.
#[must_use]
pub fn overlaps(experiment: &Experiment, facts: &HostFacts, boot_id: Option<&str>) -> Vec<Overlap> {
    let Some(all) = all(facts) else { return Vec::new() };
    let services = experiment.resources.cpuset.clone().unwrap_or_else(|| all.clone());
    let runner = facts.runner_cpus.clone().unwrap_or_else(|| all.clone());
    let mut parties = vec![("the services".to_owned(), services), ("the runner".to_owned(), runner)];
    if boot_id.is_some() && facts.settings.boot_id.as_deref() == boot_id {
        let is_silent = |load: &&Load| matches!(load.kind, LoadKind::None(_));
        let loads = experiment.loads.iter().filter(|load| !is_silent(load));
        parties.extend(loads.map(|load| {
            let cpus = load.cpus().unwrap_or_else(|| all.clone());
            (format!("the generator of load {}", load.name), cpus)
        }));
    }
    let mut found = Vec::new();
    for (at, (one, mine)) in parties.iter().enumerate() {
        // Two loads never run at once: each is held against services and runner only.
        for (other, theirs) in parties.iter().take(2).take(at) {
            let shared = mine.shared(theirs);
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

/// The CPUs of the host: those of its NUMA nodes, else the first so many.
fn all(facts: &HostFacts) -> Option<CpuSet> {
    let nodes = facts.cpu.nodes.iter().filter_map(|node| node.cpus.as_ref());
    let listed: Vec<u32> = nodes.flat_map(|cpus| cpus.cpus().iter().copied()).collect();
    CpuSet::of(listed).or_else(|| CpuSet::of((0..facts.cpus).collect()))
}
