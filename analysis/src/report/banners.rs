//! Banners: what a reader must know about the results. Red banners come before any figure.

use std::collections::BTreeMap;

use protocol::Name;

use super::analysis::Analysis;
use super::load::{RunData, Trial};
use crate::stats::hypothesis;
use crate::store::journal::JournalEvent;
use crate::store::{LoaderMachine, TrialKey};
use crate::store::{Rule, Validity};

/// The severity of a banner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// Results are missing or unreliable.
    Red,
    /// Results hold with a reservation.
    Amber,
}

/// A banner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Banner {
    /// Its severity.
    pub tone: Tone,
    /// Its headline.
    pub title: String,
    /// The details, one per line.
    pub lines: Vec<String>,
}

/// The maximum number of lines of a banner; the rest are counted.
const MAX_LINES: usize = 12;

/// All banners, red ones first.
pub(super) fn banners(data: &RunData, analysis: &Analysis) -> Vec<Banner> {
    let mut found = Vec::new();
    let mut add = |tone, title: String, mut lines: Vec<String>| {
        if lines.len() > MAX_LINES {
            let more = lines.len() - MAX_LINES;
            lines.truncate(MAX_LINES);
            lines.push(format!("and {more} more (see journal.jsonl)"));
        }
        found.push(Banner { tone, title, lines });
    };
    if !data.problems.is_empty() {
        add(
            Tone::Red,
            "Raw data was altered or is inconsistent".to_owned(),
            data.problems.clone(),
        );
    }
    if let Some(line) = unfinished(data) {
        add(Tone::Red, "The run is not complete".to_owned(), vec![line]);
    }
    let missing = missing(data);
    if !missing.is_empty() {
        add(
            Tone::Red,
            format!(
                "{} of {} trials have no valid attempt",
                missing.len(),
                data.manifest.plan.len()
            ),
            missing,
        );
    }
    let invalid: Vec<_> = data
        .invalid()
        .map(|a| format!("{}: {}", a.key, a.reasons.join("; ")))
        .collect();
    if !invalid.is_empty() {
        let title = format!(
            "{} of {} attempts were invalid and are excluded",
            invalid.len(),
            data.attempts.len()
        );
        add(Tone::Red, title, invalid);
    }
    let emulated = emulated(data);
    if !emulated.is_empty() {
        add(
            Tone::Red,
            "Guests were emulated (TCG), not virtualised".to_owned(),
            emulated,
        );
    }
    if !data.manifest.left_out.is_empty() {
        add(
            Tone::Amber,
            "Platforms were left out".to_owned(),
            data.manifest.left_out.clone(),
        );
    }
    let preflight = &data.manifest.preflight;
    if !preflight.waived.is_empty() {
        let title = "Unmet requirements on the host were waived".to_owned();
        add(Tone::Amber, title, preflight.waived.clone());
    }
    if !preflight.shared_cpus.is_empty() {
        let title = "CPUs are shared between services, runner or load generator".to_owned();
        add(Tone::Amber, title, preflight.shared_cpus.clone());
    }
    let deviations = deviations(data);
    if !deviations.is_empty() {
        add(
            Tone::Amber,
            "Deviations from the fairness contract".to_owned(),
            deviations,
        );
    }
    let suspect = suspect(data);
    if !suspect.is_empty() {
        let n = data.trials.iter().filter(is_suspect).count();
        let title = format!("{n} of {} trials are suspect", data.trials.len());
        add(Tone::Amber, title, suspect);
    }
    if let Some(line) = same_host(data) {
        add(
            Tone::Amber,
            "Load generator and services appear to share a host".to_owned(),
            vec![line],
        );
    }
    let drifting = drifting(analysis);
    if !drifting.is_empty() {
        add(Tone::Amber, "Response times drift over the run".to_owned(), drifting);
    }
    if let Some(line) = too_few(analysis) {
        add(
            Tone::Amber,
            "Too few trials for confidence intervals".to_owned(),
            vec![line],
        );
    }
    found
}

fn unfinished(data: &RunData) -> Option<String> {
    match data.last_event() {
        Some(JournalEvent::RunFinished(_)) => None,
        Some(JournalEvent::RunInterrupted(end)) => {
            Some(format!("The run was interrupted ({}) and can be resumed.", end.why))
        }
        _ => Some("The run is in progress or the controller crashed; it can be resumed.".to_owned()),
    }
}

/// Planned trials without a valid attempt.
fn missing(data: &RunData) -> Vec<String> {
    let is_valid = |key: &TrialKey| data.trials.iter().any(|t| t.record.key.trial == *key);
    let planned = data.manifest.plan.iter().filter(|p| !is_valid(&p.trial));
    planned
        .map(|p| format!("{}, block {}", p.trial.cell, p.trial.block))
        .collect()
}

/// The platforms whose guests were emulated, with the number of trials, and why KVM was not used where it was tried.
fn emulated(data: &RunData) -> Vec<String> {
    let (mut found, mut why) = (BTreeMap::<&Name, u32>::new(), None);
    for trial in &data.trials {
        let Some(emulation) = trial.record.ready.as_ref().and_then(|ready| ready.emulation.as_ref()) else {
            continue;
        };
        *found.entry(&trial.record.key.trial.cell.platform).or_default() += 1;
        why = why.or(emulation.kvm_failure.as_ref());
    }
    if found.is_empty() {
        return Vec::new();
    }
    let counted: Vec<String> = found
        .iter()
        .map(|(platform, n)| format!("{platform} ({n} trials)"))
        .collect();
    let line = format!(
        "{}: guest instructions were translated in software. Times, rates, CPU usage and start-up of these platforms are not comparable with \
         hardware virtualisation; compare them with each other at most.",
        counted.join(", ")
    );
    let why = why.map(|why| format!("KVM was tried: {why}"));
    [Some(line), why].into_iter().flatten().collect()
}

/// Each deviation once, with its platform and the number of trials.
fn deviations(data: &RunData) -> Vec<String> {
    let mut found: BTreeMap<(String, String), u32> = BTreeMap::new();
    for trial in &data.trials {
        let platform = trial.record.key.trial.cell.platform.to_string();
        for deviation in trial.record.deviations() {
            *found.entry((platform.clone(), deviation.clone())).or_default() += 1;
        }
    }
    found
        .into_iter()
        .map(|((platform, what), n)| format!("{platform}: {what} ({n} trials)"))
        .collect()
}

fn is_suspect(trial: &&Trial) -> bool {
    trial.record.verdict.validity == Validity::Suspect
}

/// For each rule, the number of trials that violate it and the first finding.
fn suspect(data: &RunData) -> Vec<String> {
    let mut by_rule: BTreeMap<Rule, Vec<(&Trial, &str)>> = BTreeMap::new();
    for trial in data.trials.iter().filter(is_suspect) {
        for reason in &trial.record.verdict.reasons {
            let found = by_rule.entry(reason.rule).or_default();
            // Two services or loaders of one trial can violate the same rule.
            if found.last().is_none_or(|(last, _)| last.record.key != trial.record.key) {
                found.push((trial, &reason.text));
            }
        }
    }
    let line = |(rule, found): (Rule, Vec<(&Trial, &str)>)| {
        let (first, text) = found.first()?;
        let (key, rule, n) = (&first.record.key, rule.title(), found.len());
        let what = if n == 1 {
            format!("{rule}: {key}: {text}")
        } else {
            format!("{rule}: {n} trials, first {key}: {text}")
        };
        Some(what)
    };
    by_rule.into_iter().filter_map(line).collect()
}

/// Loaders with the boot id of a target host, i.e. on the same machine.
fn loaders_on_target(data: &RunData) -> Option<String> {
    let boots: Vec<_> = data
        .manifest
        .hosts
        .iter()
        .filter_map(|host| host.settings.boot_id.as_ref())
        .collect();
    let is_shared = |loader: &&LoaderMachine| loader.facts.boot_id.as_ref().is_some_and(|boot| boots.contains(&boot));
    let shared: Vec<&str> = data
        .manifest
        .loaders
        .iter()
        .filter(is_shared)
        .map(|loader| loader.name.as_str())
        .collect();
    (!shared.is_empty()).then(|| {
        format!(
            "Loaders on the machine of the services: {}. They take CPU time and cache from the services.",
            shared.join(", ")
        )
    })
}

/// The controller's host, if it has the same kernel, CPU and memory as a target host.
fn same_host(data: &RunData) -> Option<String> {
    if !data.manifest.loaders.is_empty() {
        return loaders_on_target(data);
    }
    let controller = &data.manifest.controller;
    let same = data.manifest.hosts.iter().find(|h| {
        h.kernel == controller.kernel
            && h.cpu_model == controller.cpu_model
            && h.memory_bytes == controller.memory_bytes
    })?;
    Some(format!(
        "The controller's host {} and {} have the same kernel, CPU and memory. On one machine the load generator takes CPU time and cache \
         from the services, and no network is involved: compare platforms, but do not report absolute figures as those of a network service.",
        controller.machine, same.host
    ))
}

fn drifting(analysis: &Analysis) -> Vec<String> {
    const LEVEL: f64 = 0.05;
    let bad = analysis.drifts.iter().filter(|d| d.trend.p < LEVEL);
    let line = |d: &super::analysis::Drift| {
        let way = if d.trend.tau > 0.0 { "rises" } else { "falls" };
        let p = super::format::p_value(d.trend.p);
        format!(
            "{}: the median response time {way} with the trial's position (Kendall's tau {:.2}, p {p})",
            d.cell, d.trend.tau
        )
    };
    bad.map(line).collect()
}

fn too_few(analysis: &Analysis) -> Option<String> {
    let least = analysis.cells.iter().map(|c| c.n).min()?;
    (least < hypothesis::MIN_TRIALS).then(|| {
        format!(
            "The smallest cell has {least} trials. Below 6 trials no 95 % confidence interval of a median exists, and hardly any difference can be \
             significant after correction. Set iterations to 6 or more, preferably 30."
        )
    })
}
