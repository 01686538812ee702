//! Before anything is measured: whether the host is what `[host]` requires, whether what `[band]` asks for can be seen there at all, and
//! which CPUs are shared. Pure: from the runner's facts to lines for people.
//!
//! * [`need`] — one requirement: what it wants, what was found, the command that mends it.
//! * [`band`] — what keeps the host from the next trial.
//! * [`cpus`] — CPUs that services, runner and generator share, and those that the host does not have.
//! * [`generator`] — what the machine that fires the loads lacks.

pub mod band;
pub mod cpus;
pub mod generator;
pub mod need;
#[cfg(test)]
mod tests;

use protocol::facts::HostFacts;

use crate::config::Experiment;
use analysis::store::Preflight;
use cpus::{Generator, Overlap};

/// Holds the host against the experiment.
///
/// # Errors
/// One line for everything that is required, not met and not waived.
pub fn check(experiment: &Experiment, facts: &HostFacts, generators: &[Generator]) -> Result<Preflight, Vec<String>> {
    let (outcome, unmet) = examine(experiment, facts, generators);
    if unmet.is_empty() { Ok(outcome) } else { Err(unmet) }
}

/// Holds the host against the experiment: what is met, waived or shared, and one line for everything that is required, not met and not waived.
#[must_use]
pub fn examine(experiment: &Experiment, facts: &HostFacts, generators: &[Generator]) -> (Preflight, Vec<String>) {
    let overlaps = cpus::overlaps(experiment, facts, generators);
    let mut outcome = Preflight {
        shared_cpus: overlaps.iter().map(Overlap::to_string).collect(),
        ..Preflight::default()
    };
    let mut unmet = Vec::new();
    for need in &experiment.host_needs.needs {
        let found = need.found(facts, &overlaps);
        let line = match &found {
            Some(found) => format!("[host] {}: {found}", need.wanted()),
            None => format!("[host] {}: the host does not tell", need.wanted()),
        };
        if need.is_met(facts, &overlaps) {
            outcome.met.push(line);
        } else if experiment.host_needs.waived.iter().any(|key| key == need.key()) {
            outcome.waived.push(format!("{line} (waived)"));
        } else {
            unmet.push(format!("{line}; {}", need.remedy(found.is_some())));
        }
    }
    unmet.extend(band::blind(&experiment.band, &facts.now));
    unmet.extend(cpus::missing(&experiment.resources, facts));
    unmet.extend(generators.iter().flat_map(|generator| generator.lacks(experiment)));
    (outcome, unmet)
}

/// What `[generator]`, `[host]` and `[band]` ask for, as far as that can be said without a host; empty: nothing.
#[must_use]
pub fn asked(experiment: &Experiment) -> Vec<String> {
    let loaders = experiment.loaders.iter();
    let loaders = loaders.map(|loader| format!("the loader {loader} must answer before each trial"));
    let needs = experiment.host_needs.needs.iter().map(|need| {
        let waived = experiment.host_needs.waived.iter().any(|key| key == need.key());
        let note = if waived { " (waived)" } else { "" };
        format!("the host must have {}{note}", need.wanted())
    });
    loaders.chain(needs).chain(band::asked(&experiment.band)).collect()
}
