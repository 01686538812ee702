//! `[generator]`, and whether loads can be split over its `loaders`.

use protocol::ids::Name;
use protocol::load::{LoadKind, Wait};
use protocol::spec::CpuSet;
use protocol::toml::{Fault, Problem, TableCheck, value};

use super::task;
use crate::config::raw::{RawExperiment, RawGenerator, RawLoad};
use crate::config::{Experiment, Load};

/// The defaults of loads.
#[derive(Debug)]
pub(super) struct Generator {
    cpus: Option<CpuSet>,
    wait: Wait,
    keep_awake: bool,
}

/// Checks `[generator]`; `None`: a problem is reported.
pub(super) fn check(raw: &RawGenerator, problems: &mut Vec<Problem>) -> Option<Generator> {
    let mut table = TableCheck::new(&raw.section, problems);
    let cpus = table.optional(&raw.cpus, value::any);
    let words = [Wait::Sleep, Wait::Spin].map(|wait| (wait.as_str(), wait));
    let wait = table.or(&raw.wait, Wait::default(), value::choice(&words));
    let keep_awake = table.or(&raw.keep_awake, true, value::any);
    Some(Generator {
        cpus: cpus?,
        wait: wait?,
        keep_awake: keep_awake?,
    })
}

impl Generator {
    /// Applies it to the loads; `None`: a problem is reported: threads that never sleep need CPUs of their own.
    pub(super) fn apply(&self, loads: &mut [Load], raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<()> {
        for load in loads {
            if let Some(cpus) = &self.cpus {
                load.spec.pin(cpus);
            }
            load.spec.wait = self.wait;
            load.spec.keep_awake = self.keep_awake;
            if self.wait == Wait::Spin && is_own_engine(&load.spec.kind) && load.spec.kind.cpus().is_empty() {
                let what = format!(
                    "threads that never sleep need CPUs of their own, and load {:?} has none",
                    load.name.as_str()
                );
                let fault = Fault::new(what, "write e.g. cpus = \"1\" beside it");
                TableCheck::new(&raw.generator.section, problems).error(&raw.generator.wait, fault);
                return None;
            }
        }
        Some(())
    }
}

/// Whether one of our engines fires it.
fn is_own_engine(kind: &LoadKind) -> bool {
    !matches!(
        kind,
        LoadKind::Httperf(_) | LoadKind::Jmeter(_) | LoadKind::Command(_) | LoadKind::None(_) | LoadKind::Runs(_)
    )
}

/// The most loaders of an experiment.
const MAX_LOADERS: usize = 16;

/// The most threads of all loaders together: a request's record has a byte for its thread.
const MAX_THREADS: usize = 256;

/// Checks the names of `loaders`; `None`: a problem is reported.
pub(super) fn loaders(raw: &RawExperiment, host: Option<&Name>, problems: &mut Vec<Problem>) -> Option<Vec<Name>> {
    let raw = &raw.generator;
    let mut table = TableCheck::new(&raw.section, problems);
    let names = table.optional(&raw.loaders, |words| {
        let mut names: Vec<Name> = Vec::new();
        for word in words {
            let name: Name = word.parse().map_err(|_| {
                Fault::new(
                    format!("{word:?} is not a valid name"),
                    "use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or a digit",
                )
            })?;
            if names.contains(&name) {
                return Err(Fault::new(
                    format!("{name} is named twice"),
                    "name each loader once; on one machine start two under names of their own",
                ));
            }
            if Some(&name) == host {
                return Err(Fault::new(
                    format!("{name} is the host whose runner deploys the services"),
                    "give the loader a name of its own, also on the same machine",
                ));
            }
            names.push(name);
        }
        if names.len() > MAX_LOADERS {
            let what = format!("{} loaders are more than {MAX_LOADERS}", names.len());
            return Err(Fault::new(what, "name fewer"));
        }
        Ok(names)
    })?;
    Some(names.unwrap_or_default())
}

/// Reports loads that cannot be split over the loaders.
pub(super) fn check_split(raw: &RawExperiment, experiment: &Experiment, problems: &mut Vec<Problem>) {
    let loaders = experiment.loaders.len();
    if loaders == 0 {
        return;
    }
    for (raw, load) in raw.loads.iter().zip(&experiment.loads) {
        if let Some((key, fault)) = unsplittable(load, loaders) {
            report(raw, key, fault, problems);
        }
    }
    for (raw, _) in raw
        .workloads
        .iter()
        .zip(&experiment.workloads)
        .filter(|(_, it)| task::is_task(it))
    {
        let fault = Fault::new(
            "runs of a task cannot be split over loaders",
            "remove `loaders` from [generator]",
        );
        TableCheck::new(&raw.keys.section, problems).error(&raw.keys.kind, fault);
    }
}

/// The key that a problem is noted with.
#[derive(Clone, Copy)]
enum Key {
    Kind,
    Rate,
    Users,
    Connections,
    Packets,
    Pace,
    Window,
    Search,
    Cpus,
}

fn report(raw: &RawLoad, key: Key, fault: Fault, problems: &mut Vec<Problem>) {
    let (keys, mut table) = (&raw.keys, TableCheck::new(&raw.keys.section, problems));
    match key {
        Key::Kind => table.error(&keys.kind, fault),
        Key::Rate => table.error(&keys.rate, fault),
        Key::Users => table.error(&keys.users, fault),
        Key::Connections => table.error(&keys.connections, fault),
        Key::Packets => table.error(&keys.packets, fault),
        Key::Pace => table.error(&keys.pace, fault),
        Key::Window => table.error(&keys.window, fault),
        Key::Search => table.error(&keys.search, fault),
        Key::Cpus => table.error(&keys.cpus, fault),
    }
}

/// What keeps a load from being split over so many; `None`: nothing.
fn unsplittable(load: &Load, loaders: usize) -> Option<(Key, Fault)> {
    let whole = "remove `loaders` from [generator]: this machine then sends it alone";
    let threads = load.spec.kind.cpus().len().max(1);
    let fewer = |key, what: &str, count: u64| {
        let fault = Fault::new(
            format!("{count} {what} cannot be split over {loaders} loaders"),
            "raise it, or name fewer loaders",
        );
        (count < loaders as u64).then_some((key, fault))
    };
    if threads * loaders > MAX_THREADS {
        let what = format!("{threads} threads on each of {loaders} loaders are more than {MAX_THREADS}");
        return Some((Key::Cpus, Fault::new(what, "name fewer CPUs or fewer loaders")));
    }
    match &load.spec.kind {
        LoadKind::Ramp(_) | LoadKind::Httperf(_) | LoadKind::Jmeter(_) | LoadKind::Command(_) | LoadKind::Runs(_) => {
            let what = "a load of this kind cannot be split over loaders";
            Some((Key::Kind, Fault::new(what, whole)))
        }
        LoadKind::None(_) => None,
        LoadKind::Rate(rate) => {
            let requests = rate.rate_per_s * rate.timing.duration.as_secs_f64();
            let what = format!("{requests:.0} requests cannot be split over {loaders} loaders");
            (requests < loaders as f64).then(|| {
                (
                    Key::Rate,
                    Fault::new(what, "raise the rate or the duration, or name fewer loaders"),
                )
            })
        }
        LoadKind::Users(users) => fewer(Key::Users, "users", users.users.into()),
        LoadKind::Max(max) => fewer(Key::Connections, "connections", max.connections.into()),
        LoadKind::Udp(udp) if udp.search.is_some() => {
            let what = "the search for the fastest pace without loss uses one machine only";
            Some((
                Key::Search,
                Fault::new(what, "remove `search`, or remove `loaders` from [generator]"),
            ))
        }
        LoadKind::Udp(udp) if udp.pace.is_zero() => {
            let what = "several loaders need a pace: as fast as it goes is another speed for each";
            Some((Key::Pace, Fault::new(what, "write e.g. pace = \"10us\"")))
        }
        LoadKind::Udp(udp) => {
            let threads = threads as u64;
            let window = udp.window.map(u64::from);
            fewer(Key::Packets, "packets for each thread", udp.packets / threads)
                .or_else(|| fewer(Key::Window, "places of the window for each thread", window? / threads))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};

    fn loads(generator: &str, load: &str) -> Result<Vec<Load>, String> {
        let text = format!(
            "[experiment]\nname = \"x\"\n[[platform]]\nkind = \"native\"\n[[workload]]\nkind = \"tcp\"\n[[load]]\nkind = \"rate\"\nname = \"light\"\n\
             rate = 5\nduration = \"10s\"\n{load}\n[[load]]\nkind = \"none\"\nname = \"rest\"\n[generator]\n{generator}\n"
        );
        let checked = parse("x.toml", &text, &Overrides::default());
        checked
            .map(|checked| checked.experiment.loads)
            .map_err(|problems| problems.iter().map(|p| format!("{p}\n")).collect())
    }

    #[test]
    fn who_never_sleeps_needs_cpus_of_its_own() {
        assert!(loads("", "").unwrap().iter().all(|load| load.spec.wait == Wait::Sleep));
        let told = loads("wait = \"spin\"\ncpus = \"1\"", "").unwrap();
        assert_eq!((told[0].spec.wait, told[0].spec.kind.cpus()), (Wait::Spin, &[1][..]));
        assert_eq!(
            loads("wait = \"spin\"", "cpus = \"2\"").unwrap()[0].spec.wait,
            Wait::Spin
        );
        let refused = loads("wait = \"spin\"", "").unwrap_err();
        assert!(
            refused.contains("load \"light\" has none; write e.g. cpus"),
            "{refused}"
        );
        let unknown = loads("wait = \"spinn\"", "").unwrap_err();
        assert!(unknown.contains("did you mean \"spin\"?"), "{unknown}");
    }

    /// The loaders of an experiment with this load, or every problem in a line.
    fn loaders(list: &str, load: &str) -> Result<Vec<Name>, String> {
        let workload = if load.contains("\"udp\"") { "udp" } else { "tcp" };
        let text = format!(
            "[experiment]\nname = \"x\"\nhost = \"target\"\n[[platform]]\nkind = \"native\"\n[[workload]]\nkind = \"{workload}\"\n\
             [[load]]\nname = \"l\"\n{load}\n[generator]\nloaders = {list}\n"
        );
        let checked = parse("x.toml", &text, &Overrides::default());
        checked
            .map(|checked| checked.experiment.loaders)
            .map_err(|problems| problems.iter().map(|p| format!("{p}\n")).collect())
    }

    const RATE: &str = "kind = \"rate\"\nrate = 5\nduration = \"10s\"";

    #[test]
    fn names_that_are_wrong_are_told_with_the_remedy() {
        assert_eq!(loaders("[\"a\", \"b\"]", RATE).unwrap().len(), 2);
        assert_eq!(loaders("[]", RATE).unwrap().len(), 0);
        assert_eq!(loaders("\"a, b\"", RATE).unwrap().len(), 2);
        for (list, says) in [
            ("[\"a\", \"a\"]", "a is named twice"),
            ("[\"target\"]", "the host whose runner deploys"),
            ("[\"A b\"]", "is not a valid name"),
            ("[1]", "loaders"),
        ] {
            let refused = loaders(list, RATE).unwrap_err();
            assert!(refused.contains(says), "{list}: {refused}");
        }
        let many: Vec<String> = (0..17).map(|n| format!("\"l{n}\"")).collect();
        assert!(
            loaders(&format!("[{}]", many.join(",")), RATE)
                .unwrap_err()
                .contains("17 loaders")
        );
    }

    #[test]
    fn loads_that_cannot_be_split_are_refused() {
        let window = "duration = \"10s\"";
        for (load, says) in [
            (
                format!("kind = \"ramp\"\nfrom = 10\nto = 100\nstep = 10\n{window}"),
                "cannot be split over loaders",
            ),
            (
                format!("kind = \"httperf\"\nrate = 5\n{window}"),
                "cannot be split over loaders",
            ),
            (
                format!("kind = \"jmeter\"\nusers = 5\n{window}"),
                "cannot be split over loaders",
            ),
            (format!("kind = \"users\"\nusers = 1\n{window}"), "1 users cannot"),
            (
                format!("kind = \"max\"\nconnections = 1\n{window}"),
                "1 connections cannot",
            ),
            (
                "kind = \"rate\"\nrate = 0.1\nduration = \"10s\"".to_owned(),
                "1 requests cannot",
            ),
            ("kind = \"udp\"\npackets = 1\npace = \"1ms\"".to_owned(), "1 packets"),
            (
                "kind = \"udp\"\npackets = 100\npace = \"1ms\"\nwindow = 1".to_owned(),
                "1 places of the window",
            ),
            ("kind = \"udp\"\npackets = 100\nwindow = 64".to_owned(), "need a pace"),
            (
                "kind = \"udp\"\npackets = 100\npace = \"1ms\"\nsearch = \"5s\"".to_owned(),
                "uses one machine only",
            ),
        ] {
            let refused = loaders("[\"a\", \"b\"]", &load).unwrap_err();
            assert!(refused.contains(says), "{load}: {refused}");
        }
    }
}
