//! From a raw experiment to a checked one, or to every problem of it.

mod generator;
mod head;
mod host;
mod kafka;
mod limits;
mod load;
mod platform;
mod service;
mod skip;
mod task;
mod workload;

use protocol::toml::{Problem, Severity};

use super::experiment::Experiment;
use super::raw::RawExperiment;

/// An experiment that can be run, and warnings.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The experiment.
    pub experiment: Experiment,
    /// The file's text, to be kept with the results.
    pub text: String,
    /// Problems that do not keep it from being run.
    pub warnings: Vec<Problem>,
    /// Problems that keep it from being run on this machine.
    pub on_this_machine: Vec<Problem>,
}

/// Checks every table, whatever is wrong with the others; `problems` are those of the reading.
pub(super) fn check(raw: &RawExperiment, text: &str, mut problems: Vec<Problem>) -> Result<Checked, Vec<Problem>> {
    let experiment = build(raw, &mut problems);
    problems.sort_by_key(|problem| problem.line);
    let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    match experiment {
        Some(experiment) if !wrong => Ok(Checked {
            on_this_machine: load::on_this_machine(raw, &experiment.loads),
            experiment,
            text: text.to_owned(),
            warnings: problems,
        }),
        _ => Err(problems),
    }
}

/// Checks all first and builds last, so that one missing part does not hide the problems of another. `None`: a problem is reported.
fn build(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Experiment> {
    let platforms = platform::check(raw, problems);
    let workloads = workload::check(raw, problems);
    // A task brings its own load.
    let brings_load = workloads
        .as_ref()
        .is_none_or(|workloads| workloads.iter().any(task::is_task));
    let may_lack_loads = brings_load && !raw.workloads.is_empty();
    let loads = load::check(raw, may_lack_loads, problems);
    let head = head::check(raw, problems);
    let kafka = kafka::check(&raw.kafka, head.as_ref().map(|head| head.results.as_path()), problems);
    let resources = limits::resources(&raw.resources, problems);
    let sampling = limits::sampling(&raw.sampling, problems);
    let deadlines = limits::deadlines(&raw.deadlines, problems);
    let host_needs = host::needs(&raw.host, problems);
    let band = host::band(&raw.band, problems);
    let generator = generator::check(&raw.generator, problems);
    let loaders = generator::loaders(raw, head.as_ref().map(|head| &head.host), problems);
    let head = head?;
    let mut loads = loads?;
    loads.extend(task::loads(
        raw,
        workloads.as_deref().unwrap_or_default(),
        &loads,
        problems,
    ));
    generator?.apply(&mut loads, raw, problems)?;
    let (sampling_interval, idle_window) = sampling?;
    let mut experiment = Experiment {
        baseline: head.baseline,
        name: head.name,
        iterations: head.iterations,
        seed: head.seed,
        order: head.order,
        max_attempts: head.max_attempts,
        results: head.results,
        controller: head.controller,
        host: head.host,
        kafka: kafka?,
        platforms: platforms?,
        workloads: workloads?,
        loads,
        loaders: loaders?,
        skips: Vec::new(),
        resources: resources?,
        sampling_interval,
        idle_window,
        deadlines: deadlines?,
        host_needs: host_needs?,
        band: band?,
    };
    experiment.skips = skip::check(raw, &experiment, problems);
    service::check_forms(raw, &mut experiment, problems);
    skip::anything_left(raw, &experiment, problems);
    limits::whole(raw, &experiment, problems);
    generator::check_split(raw, &experiment, problems);
    Some(experiment)
}
