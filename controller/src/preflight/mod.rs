//! Checks before the first trial: whether the host meets `[host]`, whether the limits of `[band]` can be observed there, and
//! which CPUs are shared. Pure: from the runner's facts to lines of text.
//!
//! * [`need`] — one requirement: setting, actual value, remedy.
//! * [`settle`] — the limits of `[band]`.
//! * [`cpus`] — CPUs that services, runner and load generator share, and CPUs that do not exist.
//! * [`generator`] — resources of the load generators' machines.

pub mod cpus;
pub mod generator;
pub mod need;
pub mod settle;
#[cfg(test)]
mod tests;

use protocol::facts::HostFacts;

use crate::config::Experiment;
use analysis::store::Preflight;
use cpus::Overlap;
use generator::GeneratorHost;

/// Checks the host against the experiment.
///
/// # Errors
/// One line for every requirement that is neither met nor waived.
pub fn check(
    experiment: &Experiment,
    facts: &HostFacts,
    generators: &[GeneratorHost],
) -> Result<Preflight, Vec<String>> {
    let (outcome, unmet) = evaluate(experiment, facts, generators);
    if unmet.is_empty() { Ok(outcome) } else { Err(unmet) }
}

/// Compares the host with the experiment: what is met, waived or shared, and one line for every requirement that is neither met nor waived.
#[must_use]
pub fn evaluate(experiment: &Experiment, facts: &HostFacts, generators: &[GeneratorHost]) -> (Preflight, Vec<String>) {
    let overlaps = cpus::overlaps(experiment, facts, generators);
    let mut outcome = Preflight {
        shared_cpus: overlaps.iter().map(Overlap::to_string).collect(),
        ..Preflight::default()
    };
    let mut unmet = Vec::new();
    for need in &experiment.host_needs.needs {
        let actual = need.actual(facts, &overlaps);
        let line = match &actual {
            Some(actual) => format!("[host] {}: {actual}", need.setting()),
            None => format!("[host] {}: the host does not report it", need.setting()),
        };
        if need.is_met(facts, &overlaps) {
            outcome.met.push(line);
        } else if experiment.host_needs.waived.iter().any(|key| key == need.key()) {
            outcome.waived.push(format!("{line} (waived)"));
        } else {
            unmet.push(format!("{line}; {}", need.remedy(actual.is_some())));
        }
    }
    unmet.extend(settle::unobservable(&experiment.band, &facts.now));
    unmet.extend(cpus::missing(&experiment.resources, facts));
    unmet.extend(generators.iter().flat_map(|generator| generator.shortages(experiment)));
    (outcome, unmet)
}

/// The requirements of `[generator]`, `[host]` and `[band]`, as known without a host.
#[must_use]
pub fn requirements(experiment: &Experiment) -> Vec<String> {
    let loaders = experiment.loaders.iter();
    let loaders = loaders.map(|loader| format!("loader {loader} must answer before every trial"));
    let needs = experiment.host_needs.needs.iter().map(|need| {
        let waived = experiment.host_needs.waived.iter().any(|key| key == need.key());
        let note = if waived { " (waived)" } else { "" };
        format!("the host must have {}{note}", need.setting())
    });
    loaders
        .chain(needs)
        .chain(settle::description(&experiment.band))
        .collect()
}
