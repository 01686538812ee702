//! `[[workload]]` of kind `task`: a program that runs to its end again and again.

use std::time::Duration;

use protocol::Name;
use protocol::load::{HttpRequests, LoadKind, LoadSpec, RunsLoad, Timing, Transport, Wait};
use protocol::spec::{Place, ServiceSource, ServiceSpec};
use protocol::toml::{Fault, Problem, TableCheck, value};

use super::service;
use crate::config::raw::{RawExperiment, RawWorkload, RawWorkloadKeys};
use crate::config::{Load, ServiceEntry, ServiceWorkload, Workload, WorkloadKind};

/// The name of the only load of tasks; with several, that of the workload follows.
const RUNS: &str = "runs";

/// Whether a workload is a task.
pub(super) fn is_task(workload: &Workload) -> bool {
    matches!(&workload.kind, WorkloadKind::Service(service) if service.runs.is_some())
}

/// Checks a task; `None`: a problem is reported.
pub(super) fn check(raw: &RawWorkload, name: Option<&Name>, problems: &mut Vec<Problem>) -> Option<ServiceWorkload> {
    let keys = &raw.keys;
    for section in raw.services.iter().map(|service| &service.keys.section) {
        let fault = Fault::new("a task is one program", "remove it, or write kind = \"service\"");
        TableCheck::new(section, problems).table_error(fault);
    }
    let mut table = TableCheck::new(&keys.section, problems);
    table.forbid(&raw.service.keys.beside, "a task is on the platform", "remove it");
    let (s, ms) = (Duration::from_secs, Duration::from_millis);
    let runs = table.or(&keys.runs, 10, value::integer("a number of runs", 1..=1_000_000, 10));
    let warm_up_runs = table.or(
        &keys.warm_up_runs,
        1,
        value::integer("a number of runs", 0..=1_000_000, 1),
    );
    let time_limit = table.or(
        &keys.time_limit,
        s(60),
        value::within("a time limit", ms(1)..=s(86_400), "60s"),
    );
    let source = if raw.service.keys.description.is_absent() {
        let described = raw.service.inline.check_as(true, problems);
        described.map(|described| ServiceSource::Inline(Box::new(described)))
    } else {
        let what = "a task speaks nothing";
        table.forbid(&raw.service.inline.keys.protocol, what, "remove it");
        service::named_source(&raw.service, problems)
    };
    Some(ServiceWorkload {
        front: ServiceEntry {
            protocol: Transport::Task,
            spec: ServiceSpec {
                name: name?.clone(),
                place: Place::Platform,
                source: source?,
            },
        },
        others: Vec::new(),
        runs: Some(RunsLoad {
            runs: runs?,
            warm_up_runs: warm_up_runs?,
            timing: Timing {
                warm_up: Duration::ZERO,
                duration: Duration::ZERO,
                timeout: time_limit?,
            },
            cpus: Vec::new(),
        }),
    })
}

/// Reports keys of tasks under another kind.
pub(super) fn forbid(raw: &RawWorkloadKeys, table: &mut TableCheck<'_>) {
    let (what, remedy) = ("this key is for kind = \"task\"", "remove it");
    table.forbid(&raw.runs, what, remedy);
    table.forbid(&raw.warm_up_runs, what, remedy);
    table.forbid(&raw.time_limit, what, remedy);
}

/// The loads of all tasks: their runs, one load for tasks with the same.
pub(super) fn loads(
    raw: &RawExperiment,
    workloads: &[Workload],
    others: &[Load],
    problems: &mut Vec<Problem>,
) -> Vec<Load> {
    let mut found: Vec<(usize, &RunsLoad)> = Vec::new();
    for (index, workload) in workloads.iter().enumerate() {
        if let WorkloadKind::Service(service) = &workload.kind
            && let Some(runs) = &service.runs
            && found.iter().all(|(_, other)| *other != runs)
        {
            found.push((index, runs));
        }
    }
    let is_only = found.len() == 1;
    let mut loads = Vec::new();
    for (index, runs) in found {
        let text = match is_only {
            true => RUNS.to_owned(),
            false => format!("{RUNS}-{}", workloads[index].name),
        };
        let section = &raw.workloads[index].keys.section;
        let mut table = TableCheck::new(section, problems);
        let Ok(name) = text.parse::<Name>() else {
            let what = format!("{text:?}, the load of this task, is too long for a name");
            table.table_error(Fault::new(what, "give the workload a shorter name"));
            continue;
        };
        if others.iter().any(|load| load.name == name) {
            let what = format!("a [[load]] has the name {name} of this task's runs");
            table.table_error(Fault::new(what, "give the load another name"));
        }
        loads.push(Load {
            name,
            spec: LoadSpec {
                kind: LoadKind::Runs(runs.clone()),
                wait: Wait::default(),
                keep_awake: true,
                http: HttpRequests::default(),
            },
        });
    }
    loads
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{experiment, problems};
    use crate::plan::Plan;

    const HEAD: &str = "[experiment]\nname = 'x'\niterations = 1\n[[platform]]\nkind = 'native'\n";
    const SORT: &str = "[[workload]]\nkind = 'task'\nname = 'sort'\n[workload.native]\nprogram = 'sort'\n";

    fn cells(text: &str) -> Vec<String> {
        let plan = Plan::new(&experiment(text).unwrap());
        plan.cells.iter().map(|cell| cell.name.to_string()).collect()
    }

    #[test]
    fn a_task_needs_no_load() {
        assert_eq!(cells(&format!("{HEAD}{SORT}")), ["native.sort.runs"]);
        let named = "[[workload]]\nkind = 'task'\nname = 'start'\ndescription = 'true'\nruns = 50\n";
        assert_eq!(
            cells(&format!("{HEAD}{SORT}{named}")),
            ["native.sort.runs-sort", "native.start.runs-start"]
        );
        let same = named.replace("runs = 50", "runs = 10");
        assert_eq!(
            cells(&format!("{HEAD}{SORT}{same}[generator]\ncpus = \"0\"\n")),
            ["native.sort.runs", "native.start.runs"]
        );
    }

    #[test]
    fn loads_of_services_do_not_go_to_tasks() {
        let more = "[[workload]]\nkind = 'tcp'\n[[load]]\nkind = 'max'\nname = 'full'\nconnections = 4\nduration = '9s'\n\
                    [[load]]\nkind = 'command'\nname = 'own'\nprogram = 'true'\narguments = ['{port}']\n";
        let cells = cells(&format!("{HEAD}{SORT}{more}"));
        assert_eq!(cells, ["native.sort.runs", "native.tcp.full", "native.tcp.own"]);
    }

    #[test]
    fn what_does_not_fit_is_reported() {
        let text = format!(
            "{HEAD}[[platform]]\nkind = 'osv'\n{SORT}runs = 0\n\
             [[workload]]\nkind = 'task'\nname = 'b'\nbeside = true\nport = 3\nprotocol = 'tcp'\ndescription = 'x'\n[workload.task]\n\
             [[workload]]\nkind = 'tcp'\nruns = 3\n\
             [[workload]]\nkind = 'service'\nname = 'c'\nparameters = {{ port = 1 }}\n[workload.native]\nprogram = 'x'\n[workload.task]\n"
        );
        insta::assert_snapshot!(problems(&text));
        let sort = SORT.replace("[workload.native]", "runs = 5\n[workload.native]");
        let text = format!(
            "{HEAD}[[platform]]\nkind = 'osv'\n{sort}[[load]]\nkind = 'none'\nname = 'runs'\n[generator]\nloaders = ['a']\n"
        );
        insta::assert_snapshot!(problems(&text));
    }
}
