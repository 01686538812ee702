//! Resources that a load generator's machine needs for the loads: CPUs to pin to, file descriptors and local ports for connections.

use std::path::Path;

use loader::{Part, limits, max_load_connections};
use protocol::Name;
use protocol::load::{GeneratorLimits, LoadKind, MachineFacts};
use protocol::spec::CpuSet;

use crate::config::{Experiment, Load, Problem, Severity};

/// A machine that generates load: the controller's, or a loader's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneratorHost {
    /// The loader's name; `None`: the controller itself.
    pub name: Option<Name>,
    /// The boot id of its machine.
    pub boot_id: Option<String>,
    /// CPUs that it is pinned to, regardless of the experiment.
    pub pinned: Option<CpuSet>,
    /// The resources of its machine; `None`: unknown, or this machine, which is checked together with the experiment file.
    pub limits: Option<GeneratorLimits>,
}

impl GeneratorHost {
    /// The generators of an experiment: its loaders, or the controller, on the machine with boot id `here`.
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

    /// The shortages of its machine, one line each.
    pub(super) fn shortages(&self, experiment: &Experiment) -> Vec<String> {
        let (Some(name), Some(limits)) = (&self.name, &self.limits) else {
            return Vec::new();
        };
        let shortages = shortages(experiment, limits, self.pinned.is_some());
        shortages
            .iter()
            .map(|shortage| format!("loader {name}: {shortage}"))
            .collect()
    }
}

/// A resource that a machine does not have, or not enough of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    loads: String,
    key: &'static str,
    value: Option<String>,
    what: String,
    remedy: &'static str,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "load {}: {}", self.loads, self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}; {}", self.what, self.remedy)
    }
}

/// The resources that a machine with these limits is short of, for the loads of an experiment or its share of them.
/// `pinned`: its threads are pinned regardless of the experiment.
#[must_use]
pub fn shortages(experiment: &Experiment, limits: &GeneratorLimits, pinned: bool) -> Vec<Shortage> {
    let mut found = Vec::new();
    if let (Some(online), false) = (&limits.cpus, pinned) {
        found.extend(missing_cpus(experiment, online));
    }
    let loaders = u32::try_from(experiment.loaders.len().max(1)).unwrap_or(u32::MAX);
    let part = Part::nth(0, loaders as usize);
    for load in &experiment.loads {
        let Some((key, remedy)) = connection_key(&load.spec.kind) else {
            continue;
        };
        let connections = max_load_connections(&load.spec.kind, part).unwrap_or_default();
        let errors = limits::exceeded(connections, limits).into_iter();
        found.extend(errors.map(|error| Shortage {
            loads: load.name.to_string(),
            key,
            value: None,
            what: error.to_string(),
            remedy,
        }));
    }
    found
}

/// Pinned CPUs that are not online, once for all loads with the same CPUs.
fn missing_cpus(experiment: &Experiment, online: &CpuSet) -> Vec<Shortage> {
    let mut lists: Vec<(CpuSet, Vec<&Load>)> = Vec::new();
    for load in &experiment.loads {
        let Some(cpus) = load.cpus() else { continue };
        match lists.iter_mut().find(|(known, _)| *known == cpus) {
            Some((_, loads)) => loads.push(load),
            None => lists.push((cpus, vec![load])),
        }
    }
    let shortage = |(cpus, loads): (CpuSet, Vec<&Load>)| {
        let names: Vec<&str> = loads.iter().map(|load| load.name.as_str()).collect();
        Some(Shortage {
            loads: names.join(", "),
            key: "cpus",
            value: Some(format!("\"{cpus}\"")),
            what: format!(
                "CPUs {online} of the load generator's machine are online, not {}",
                cpus.without(online)?
            ),
            remedy: "use online CPUs in [generator] or [[load]], or remove cpus",
        })
    };
    lists.into_iter().filter_map(shortage).collect()
}

/// The key that determines the number of connections of a load, and the remedy for too many.
fn connection_key(kind: &LoadKind) -> Option<(&'static str, &'static str)> {
    match kind {
        LoadKind::Rate(_) => Some(("rate", "or lower rate x timeout")),
        LoadKind::Ramp(_) => Some(("to", "or lower to x timeout")),
        LoadKind::Users(_) => Some(("users", "or lower the number of users")),
        LoadKind::Max(_) => Some(("connections", "or lower the number of connections")),
        LoadKind::Httperf(_)
        | LoadKind::Jmeter(_)
        | LoadKind::Command(_)
        | LoadKind::None(_)
        | LoadKind::Udp(_)
        | LoadKind::Runs(_) => None,
    }
}

/// The shortages of this machine, as problems of the experiment file; none if loaders generate the load.
#[must_use]
pub fn problems(experiment: &Experiment, file: &Path) -> Vec<Problem> {
    if !experiment.loaders.is_empty() {
        return Vec::new();
    }
    let shortages = shortages(experiment, &limits::of_this_machine(), false).into_iter();
    let problem = |shortage: Shortage| Problem {
        severity: Severity::Error,
        file: file.display().to_string(),
        line: None,
        table: format!("[[load]] {}", shortage.loads),
        key: Some(shortage.key.to_owned()),
        value: shortage.value,
        what: shortage.what,
        remedy: shortage.remedy.to_owned(),
    };
    shortages.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing;

    fn experiment(generator: &str, load: &str) -> Experiment {
        testing::experiment(&format!(
            "[experiment]\nname = 'x'\nhost = 'target'\n[[platform]]\nkind = 'native'\n[[workload]]\nkind = 'tcp'\n\
             [[load]]\nname = 'one'\nduration = '10s'\n{load}\n[[load]]\nname = 'two'\nkind = 'rate'\nrate = 1\nduration = '10s'\n\
             [generator]\n{generator}\n"
        ))
        .unwrap()
    }

    fn lines(experiment: &Experiment, limits: &GeneratorLimits, pinned: bool) -> Vec<String> {
        shortages(experiment, limits, pinned)
            .iter()
            .map(Shortage::to_string)
            .collect()
    }

    fn machine(open_files: u64, local_ports: u64) -> GeneratorLimits {
        GeneratorLimits {
            cpus: Some("0-3".parse().unwrap()),
            open_files: Some(open_files),
            local_ports: Some(local_ports),
        }
    }

    const SMALL: &str = "kind = 'rate'\nrate = 1";

    #[test]
    fn missing_cpus_are_reported_once_for_all_loads() {
        let (two, large) = (experiment("cpus = '2-5'", SMALL), machine(1 << 20, 1 << 15));
        assert_eq!(
            lines(&two, &large, false),
            [
                "load one, two: cpus = \"2-5\": CPUs 0-3 of the load generator's machine are online, not 4-5; use online CPUs in [generator] or [[load]], or remove cpus"
            ]
        );
        assert_eq!(lines(&two, &large, true), [] as [&str; 0]);
        assert_eq!(lines(&two, &GeneratorLimits::default(), false), [] as [&str; 0]);
        assert_eq!(
            lines(&experiment("cpus = '2-3'", SMALL), &large, false),
            [] as [&str; 0]
        );
    }

    #[test]
    fn rate_times_timeout_is_bounded_by_descriptors_and_ports() {
        let rate = "kind = 'rate'\nrate = 1000\ntimeout = '2s'";
        let fits = machine(2001 + 128, 2001);
        assert_eq!(lines(&experiment("", rate), &fits, false), [] as [&str; 0]);
        let lines_of = |limits| lines(&experiment("", rate), &limits, false);
        let files = lines_of(machine(2128, 2001));
        assert!(
            files.len() == 1 && files[0].starts_with("load one: rate: ") && files[0].contains("ulimit -Hn 2129"),
            "{files:?}"
        );
        let ports = lines_of(machine(2129, 2000));
        assert!(
            ports.len() == 1
                && ports[0].contains("ip_local_port_range leaves 2000")
                && ports[0].contains("lower rate x timeout"),
            "{ports:?}"
        );
        assert_eq!(lines_of(machine(200, 100)).len(), 2);
    }

    #[test]
    fn loaders_need_their_share_only() {
        let rate = "kind = 'rate'\nrate = 1000\ntimeout = '2s'";
        let two = experiment("loaders = ['a', 'b']", rate);
        assert_eq!(lines(&two, &machine(1001 + 128, 1001), false), [] as [&str; 0]);
        assert_eq!(lines(&two, &machine(1000 + 128, 1001), false).len(), 1);
        assert_eq!(problems(&two, Path::new("x.toml")), []);
    }

    #[test]
    fn every_engine_is_checked() {
        for (load, key) in [
            ("kind = 'ramp'\nfrom = 10\nto = 1000\nstep = 10", "to"),
            ("kind = 'users'\nusers = 500", "users"),
            ("kind = 'max'\nconnections = 500", "connections"),
        ] {
            let found = lines(&experiment("", load), &machine(200, 1 << 15), false);
            assert!(
                found.len() == 1 && found[0].starts_with(&format!("load one: {key}: the load can need ")),
                "{load}: {found:?}"
            );
        }
    }
}
