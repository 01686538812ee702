//! `[[skip]]`: cells that are left out.

use protocol::ids::Name;
use protocol::toml::{Fault, Field, Problem, TableCheck, did_you_mean};

use crate::config::raw::{RawExperiment, RawSkip};
use crate::config::{Experiment, Skip};

/// Checks every `[[skip]]` against the names of the others. What is wrong is noted and left out.
pub(super) fn check(raw: &RawExperiment, experiment: &Experiment, problems: &mut Vec<Problem>) -> Vec<Skip> {
    let platforms: Vec<&Name> = experiment.platforms.iter().map(|platform| &platform.name).collect();
    let workloads: Vec<&Name> = experiment.workloads.iter().map(|workload| &workload.name).collect();
    let loads: Vec<&Name> = experiment.loads.iter().map(|load| &load.name).collect();
    let one = |raw: &RawSkip| {
        let mut table = TableCheck::new(&raw.section, problems);
        let platform = named(&mut table, &raw.platform, "platform", &platforms);
        let workload = named(&mut table, &raw.workload, "workload", &workloads);
        let load = named(&mut table, &raw.load, "load", &loads);
        let skip = Skip {
            platform: platform?,
            workload: workload?,
            load: load?,
        };
        if skip == Skip::default() {
            table.table_error(Fault::new(
                "it names nothing and would skip every cell",
                "name a platform, a workload or a load, or several of them",
            ));
            return None;
        }
        Some(skip)
    };
    raw.skips
        .iter()
        .map(one)
        .collect::<Vec<_>>()
        .into_iter()
        .flatten()
        .collect()
}

/// Whether something is left to run.
pub(super) fn anything_left(raw: &RawExperiment, experiment: &Experiment, problems: &mut Vec<Problem>) {
    let left = experiment.workloads.iter().any(|workload| {
        let mut loads = experiment.loads.iter();
        loads.any(|load| experiment.pairs(workload, load))
    });
    if let Some(skip) = raw.skips.first().filter(|_| !left) {
        let fault = Fault::new("together these tables skip every cell", "remove one of them");
        TableCheck::new(&skip.section, problems).table_error(fault);
    }
}

fn named(table: &mut TableCheck<'_>, field: &Field<String>, what: &str, names: &[&Name]) -> Option<Option<Name>> {
    table.optional(field, |text| {
        let found = names.iter().find(|name| name.as_str() == text);
        found.map(|&name| name.clone()).ok_or_else(|| {
            let words: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            let remedy = match did_you_mean(text, words.iter().copied()) {
                Some(word) => format!("did you mean {word:?}?"),
                None => format!("write one of {}", words.join(", ")),
            };
            Fault::new(format!("there is no {what} of this name"), remedy)
        })
    })
}

#[cfg(test)]
mod tests {
    use crate::config::testing::experiment;
    use crate::plan::Plan;

    const REST: &str = "[experiment]\nname = 'x'\niterations = 2\n\
                        [[platform]]\nkind = 'native'\n[[platform]]\nkind = 'includeos'\n\
                        [[workload]]\nkind = 'tcp'\n[[workload]]\nkind = 'jung'\n\
                        [[load]]\nkind = 'rate'\nname = 'light'\nrate = 10\nduration = '10s'\n\
                        [[load]]\nkind = 'users'\nname = 'few'\nusers = 2\nrequests = 10\n";

    fn cells(skips: &str) -> Result<Vec<String>, String> {
        let plan = Plan::new(&experiment(&format!("{REST}{skips}"))?);
        Ok(plan.cells.into_iter().map(|cell| cell.name).collect())
    }

    #[test]
    fn a_cell_that_has_every_name_is_left_out_and_its_misfits_with_it() {
        let skips = "[[skip]]\nworkload = 'jung'\nload = 'light'\n[[skip]]\nworkload = 'tcp'\nload = 'few'\n\
                     [[skip]]\nplatform = 'includeos'\nworkload = 'jung'\n";
        assert_eq!(
            cells(skips).unwrap(),
            ["native.tcp.light", "native.jung.few", "includeos.tcp.light"]
        );
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let error = cells(
            "[[skip]]\nplatform = 'includos'\n[[skip]]\n[[skip]]\nworkload = 'tcp'\n[[skip]]\nworkload = 'jung'\n",
        );
        insta::assert_snapshot!(error.unwrap_err());
    }
}
