//! CPUs that services, runner and generator share: then each measures the others, too.

use std::fmt;

use protocol::Name;
use protocol::facts::HostFacts;
use protocol::load::{GeneratorLimits, MachineFacts};
use protocol::spec::{CpuSet, Resources};

use super::generator;
use crate::config::{Experiment, Load};
use protocol::load::LoadKind;

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

/// A machine that fires loads: the controller's, or a loader's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generator {
    /// The loader's name; `None`: the controller itself.
    pub name: Option<Name>,
    /// The boot of its machine.
    pub boot_id: Option<String>,
    /// CPUs that it is pinned to whatever the experiment says.
    pub pinned: Option<CpuSet>,
    /// What its machine has for a load; `None`: it does not tell, or it is this machine, which is looked at with the experiment file.
    pub limits: Option<GeneratorLimits>,
}

impl Generator {
    /// Those of an experiment: its loaders, or the controller itself, whose machine's boot is `here`.
    #[must_use]
    pub fn of(experiment: &Experiment, here: Option<String>, loaders: &[MachineFacts]) -> Vec<Self> {
        if experiment.loaders.is_empty() {
            return vec![Self {
                boot_id: here,
                ..Self::default()
            }];
        }
        let loader = |(name, facts): (&Name, &MachineFacts)| Self {
            name: Some(name.clone()),
            boot_id: facts.boot_id.clone(),
            pinned: facts.pinned.clone(),
            limits: facts.limits.clone(),
        };
        experiment.loaders.iter().zip(loaders).map(loader).collect()
    }

    /// What its machine lacks for the loads, a line each.
    pub(super) fn lacks(&self, experiment: &Experiment) -> Vec<String> {
        let (Some(name), Some(limits)) = (&self.name, &self.limits) else {
            return Vec::new();
        };
        let lacks = generator::lacks(experiment, limits, self.pinned.is_some());
        lacks.iter().map(|lack| format!("loader {name}: {lack}")).collect()
    }

    fn party(&self, load: &Load, all: &CpuSet) -> (String, CpuSet) {
        let name = match &self.name {
            Some(name) => format!("the loader {name} of load {}", load.name),
            None => format!("the generator of load {}", load.name),
        };
        let cpus = self.pinned.clone().or_else(|| load.cpus());
        (name, cpus.unwrap_or_else(|| all.clone()))
    }
}

/// Every two that share CPUs. Whoever is not told which it may use counts as using all that are online. A generator shares with the others
/// only if it is on their machine, which is so if it has the same boot.
#[must_use]
pub fn overlaps(experiment: &Experiment, facts: &HostFacts, generators: &[Generator]) -> Vec<Overlap> {
    let Some(all) = all(facts) else { return Vec::new() };
    let services = experiment.resources.cpuset.clone().unwrap_or_else(|| all.clone());
    let runner = facts.runner_cpus.clone().unwrap_or_else(|| all.clone());
    let mut parties = vec![("the services".to_owned(), services), ("the runner".to_owned(), runner)];
    let is_here = |generator: &&Generator| generator.boot_id.is_some() && generator.boot_id == facts.settings.boot_id;
    for generator in generators.iter().filter(is_here) {
        let is_silent = |load: &&Load| matches!(load.spec.kind, LoadKind::None(_));
        let loads = experiment.loads.iter().filter(|load| !is_silent(load));
        parties.extend(loads.map(|load| generator.party(load, &all)));
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

/// CPUs and memory nodes that `[resources]` names and the host does not have, a line each. A host that does not list its NUMA nodes misses none.
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
            "[resources] {key} = \"{wanted}\": host {} has {what} {there} and not {missing}; name {what} that it has, or leave {key} out",
            facts.host
        ))
    };
    kinds.into_iter().filter_map(line).collect()
}

/// The CPUs of the host: those of its NUMA nodes, else the first so many.
fn all(facts: &HostFacts) -> Option<CpuSet> {
    let nodes = facts.cpu.nodes.iter().filter_map(|node| node.cpus.as_ref());
    let listed: Vec<u32> = nodes.flat_map(|cpus| cpus.cpus().iter().copied()).collect();
    CpuSet::of(listed).or_else(|| CpuSet::of((0..facts.cpus).collect()))
}
