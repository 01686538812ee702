//! Whether the machine that fires the loads has what they need: CPUs to pin to, descriptors and local ports for their connections.

use std::path::Path;

use loader::{Part, limits, max_load_connections};
use protocol::load::GeneratorLimits;
use protocol::spec::CpuSet;

use crate::config::{Experiment, Load, Problem, Severity};
use protocol::load::LoadKind;

/// What a machine lacks for some loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    loads: String,
    key: &'static str,
    value: Option<String>,
    what: String,
    remedy: &'static str,
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "load {}: {}", self.loads, self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}; {}", self.what, self.remedy)
    }
}

/// Everything that a machine with these limits lacks for the loads of an experiment, or for its share of them where there are several
/// loaders. `pinned`: its threads keep to CPUs of its own, whatever the experiment says.
#[must_use]
pub fn lacks(experiment: &Experiment, limits: &GeneratorLimits, pinned: bool) -> Vec<Lack> {
    let mut found = Vec::new();
    if let (Some(online), false) = (&limits.cpus, pinned) {
        found.extend(missing_cpus(experiment, online));
    }
    let loaders = u32::try_from(experiment.loaders.len().max(1)).unwrap_or(u32::MAX);
    let part = Part::nth(0, loaders as usize);
    for load in &experiment.loads {
        let Some((key, remedy)) = key_of_connections(&load.spec.kind) else {
            continue;
        };
        let connections = max_load_connections(&load.spec.kind, part).unwrap_or_default();
        let errors = limits::exceeded(connections, limits).into_iter();
        found.extend(errors.map(|error| Lack {
            loads: load.name.to_string(),
            key,
            value: None,
            what: error.to_string(),
            remedy,
        }));
    }
    found
}

/// CPUs that loads are pinned to and that are not online, once for all loads that have the same.
fn missing_cpus(experiment: &Experiment, online: &CpuSet) -> Vec<Lack> {
    let mut lists: Vec<(CpuSet, Vec<&Load>)> = Vec::new();
    for load in &experiment.loads {
        let Some(cpus) = load.cpus() else { continue };
        match lists.iter_mut().find(|(known, _)| *known == cpus) {
            Some((_, loads)) => loads.push(load),
            None => lists.push((cpus, vec![load])),
        }
    }
    let lack = |(cpus, loads): (CpuSet, Vec<&Load>)| {
        let names: Vec<&str> = loads.iter().map(|load| load.name.as_str()).collect();
        Some(Lack {
            loads: names.join(", "),
            key: "cpus",
            value: Some(format!("\"{cpus}\"")),
            what: format!(
                "the generator's machine has CPUs {online} online and not {}",
                cpus.without(online)?
            ),
            remedy: "name CPUs that it has, in [generator] or [[load]], or leave cpus out",
        })
    };
    lists.into_iter().filter_map(lack).collect()
}

/// The key that decides how many connections a load can have open, and what to do about too many.
fn key_of_connections(kind: &LoadKind) -> Option<(&'static str, &'static str)> {
    match kind {
        LoadKind::Rate(_) => Some(("rate", "or lower rate x timeout")),
        LoadKind::Ramp(_) => Some(("to", "or lower to x timeout")),
        LoadKind::Users(_) => Some(("users", "or lower the number of users")),
        LoadKind::Max(_) => Some(("connections", "or lower the number of connections")),
        LoadKind::Httperf(_) | LoadKind::Jmeter(_) | LoadKind::None(_) | LoadKind::Udp(_) => None,
    }
}

/// What this machine lacks, as problems of the experiment file; nothing where loaders fire the load.
#[must_use]
pub fn problems(experiment: &Experiment, file: &Path) -> Vec<Problem> {
    if !experiment.loaders.is_empty() {
        return Vec::new();
    }
    let lacks = lacks(experiment, &limits::of_this_machine(), false).into_iter();
    let problem = |lack: Lack| Problem {
        severity: Severity::Error,
        file: file.display().to_string(),
        line: None,
        table: format!("[[load]] {}", lack.loads),
        key: Some(lack.key.to_owned()),
        value: lack.value,
        what: lack.what,
        remedy: lack.remedy.to_owned(),
    };
    lacks.map(problem).collect()
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

    fn said(experiment: &Experiment, limits: &GeneratorLimits, pinned: bool) -> Vec<String> {
        lacks(experiment, limits, pinned).iter().map(Lack::to_string).collect()
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
    fn cpus_that_are_not_there_are_told_once_for_all_loads() {
        let (two, large) = (experiment("cpus = '2-5'", SMALL), machine(1 << 20, 1 << 15));
        assert_eq!(
            said(&two, &large, false),
            [
                "load one, two: cpus = \"2-5\": the generator's machine has CPUs 0-3 online and not 4-5; name CPUs that it has, in [generator] or [[load]], or leave cpus out"
            ]
        );
        assert_eq!(said(&two, &large, true), [] as [&str; 0]);
        assert_eq!(said(&two, &GeneratorLimits::default(), false), [] as [&str; 0]);
        assert_eq!(said(&experiment("cpus = '2-3'", SMALL), &large, false), [] as [&str; 0]);
    }

    #[test]
    fn rate_times_timeout_must_fit_into_descriptors_and_ports() {
        let rate = "kind = 'rate'\nrate = 1000\ntimeout = '2s'";
        let fits = machine(2001 + 128, 2001);
        assert_eq!(said(&experiment("", rate), &fits, false), [] as [&str; 0]);
        let said_of = |limits| said(&experiment("", rate), &limits, false);
        let files = said_of(machine(2128, 2001));
        assert!(
            files.len() == 1 && files[0].starts_with("load one: rate: ") && files[0].contains("ulimit -Hn 2129"),
            "{files:?}"
        );
        let ports = said_of(machine(2129, 2000));
        assert!(
            ports.len() == 1
                && ports[0].contains("ip_local_port_range leaves 2000")
                && ports[0].contains("lower rate x timeout"),
            "{ports:?}"
        );
        assert_eq!(said_of(machine(200, 100)).len(), 2);
    }

    #[test]
    fn loaders_need_their_share_only() {
        let rate = "kind = 'rate'\nrate = 1000\ntimeout = '2s'";
        let two = experiment("loaders = ['a', 'b']", rate);
        assert_eq!(said(&two, &machine(1001 + 128, 1001), false), [] as [&str; 0]);
        assert_eq!(said(&two, &machine(1000 + 128, 1001), false).len(), 1);
        assert_eq!(problems(&two, Path::new("x.toml")), []);
    }

    #[test]
    fn every_kind_of_ours_is_looked_at() {
        for (load, key) in [
            ("kind = 'ramp'\nfrom = 10\nto = 1000\nstep = 10", "to"),
            ("kind = 'users'\nusers = 500", "users"),
            ("kind = 'max'\nconnections = 500", "connections"),
        ] {
            let found = said(&experiment("", load), &machine(200, 1 << 15), false);
            assert!(
                found.len() == 1 && found[0].starts_with(&format!("load one: {key}: up to ")),
                "{load}: {found:?}"
            );
        }
    }
}
