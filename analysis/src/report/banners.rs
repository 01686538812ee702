//! What a reader must know of the numbers; what is red comes before any of them: what is missing, was invalid, deviates or cannot be said.

use std::collections::BTreeMap;

use protocol::Name;
use protocol::spec::EMULATED;

use super::analysis::Analysis;
use super::load::{RunData, Trial};
use crate::stats::trend;
use crate::store::journal::JournalEvent;
use crate::store::{LoaderMachine, TrialKey};
use crate::store::{Rule, Validity};

/// How loud a banner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// Results are missing or not to be trusted.
    Red,
    /// Results stand, with a reservation.
    Amber,
}

/// A banner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Banner {
    /// How loud it is.
    pub tone: Tone,
    /// What it is about.
    pub title: String,
    /// One line each.
    pub lines: Vec<String>,
}

/// The most lines that one banner shows; the others are counted.
const MOST: usize = 12;

/// Every banner, red ones first.
pub(super) fn banners(data: &RunData, analysis: &Analysis) -> Vec<Banner> {
    let mut found = Vec::new();
    let mut add = |tone, title: String, mut lines: Vec<String>| {
        if lines.len() > MOST {
            let more = lines.len() - MOST;
            lines.truncate(MOST);
            lines.push(format!("and {more} more: see journal.jsonl"));
        }
        found.push(Banner { tone, title, lines });
    };
    if !data.problems.is_empty() {
        add(
            Tone::Red,
            "Raw data was altered or contradicts itself".to_owned(),
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
                "{} of {} trials have no result that counts",
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
            "{} of {} attempts were invalid and do not count",
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
        let title = "The host is not what the experiment requires, and that was waived".to_owned();
        add(Tone::Amber, title, preflight.waived.clone());
    }
    if !preflight.shared_cpus.is_empty() {
        let title = "CPUs are shared by what should have its own".to_owned();
        add(Tone::Amber, title, preflight.shared_cpus.clone());
    }
    let deviations = deviations(data);
    if !deviations.is_empty() {
        add(
            Tone::Amber,
            "The fairness contract was not kept in full".to_owned(),
            deviations,
        );
    }
    let suspect = suspect(data);
    if !suspect.is_empty() {
        let n = data.trials.iter().filter(is_suspect).count();
        let title = format!("{n} of {} trials count but are suspect", data.trials.len());
        add(Tone::Amber, title, suspect);
    }
    if let Some(line) = same_host(data) {
        add(
            Tone::Amber,
            "Generator and services seem to share a host".to_owned(),
            vec![line],
        );
    }
    let drifting = drifting(analysis);
    if !drifting.is_empty() {
        add(Tone::Amber, "Values drift over the run".to_owned(), drifting);
    }
    if let Some(line) = too_few(analysis) {
        add(Tone::Amber, "Too few trials for intervals".to_owned(), vec![line]);
    }
    found
}

fn unfinished(data: &RunData) -> Option<String> {
    match data.ending() {
        Some(JournalEvent::RunFinished(_)) => None,
        Some(JournalEvent::RunInterrupted(end)) => Some(format!("It was interrupted: {}. It can be resumed.", end.why)),
        _ => Some("It is under way, or the controller died. It can be resumed.".to_owned()),
    }
}

/// Planned trials without an attempt that counts.
fn missing(data: &RunData) -> Vec<String> {
    let is_there = |key: &TrialKey| data.trials.iter().any(|t| t.record.key.trial == *key);
    let planned = data.manifest.plan.iter().filter(|p| !is_there(&p.trial));
    planned
        .map(|p| format!("{}, block {}", p.trial.cell, p.trial.block))
        .collect()
}

/// The platforms whose guests were emulated, with how many trials bear it, and why it was not KVM where that was tried.
fn emulated(data: &RunData) -> Vec<String> {
    let (mut found, mut why) = (BTreeMap::<&Name, u32>::new(), None);
    for trial in &data.trials {
        let told = trial
            .record
            .deviations()
            .iter()
            .find_map(|text| text.strip_prefix(EMULATED));
        if let Some(more) = told {
            *found.entry(&trial.record.key.trial.cell.platform).or_default() += 1;
            why = why.or_else(|| more.strip_prefix("; "));
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let counted: Vec<String> = found
        .iter()
        .map(|(platform, n)| format!("{platform} ({n} trials)"))
        .collect();
    let line = format!(
        "{}: their instructions were translated, not executed. Times, rates, CPU and start-up of these platforms are not those of a machine with \
         virtualisation; compare them with each other at most.",
        counted.join(", ")
    );
    [Some(line), why.map(str::to_owned)].into_iter().flatten().collect()
}

/// Each deviation once, with the platforms and how many trials bear it; emulation has a banner of its own.
fn deviations(data: &RunData) -> Vec<String> {
    let mut found: BTreeMap<(String, String), u32> = BTreeMap::new();
    for trial in &data.trials {
        let platform = trial.record.key.trial.cell.platform.to_string();
        for deviation in trial
            .record
            .deviations()
            .iter()
            .filter(|text| !text.starts_with(EMULATED))
        {
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

/// A line for each rule: how many trials broke it, and what was found in the first.
fn suspect(data: &RunData) -> Vec<String> {
    let mut by_rule: BTreeMap<Rule, Vec<(&Trial, &str)>> = BTreeMap::new();
    for trial in data.trials.iter().filter(is_suspect) {
        for reason in &trial.record.verdict.reasons {
            let found = by_rule.entry(reason.rule).or_default();
            // Two services or loaders of one trial may break the same rule.
            if found.last().is_none_or(|(last, _)| last.record.key != trial.record.key) {
                found.push((trial, &reason.text));
            }
        }
    }
    let line = |(rule, found): (Rule, Vec<(&Trial, &str)>)| {
        let (first, text) = found.first()?;
        let (key, rule, n) = (&first.record.key, rule.as_str(), found.len());
        let what = if n == 1 {
            format!("{rule}: {key}: {text}")
        } else {
            format!("{rule}, {n} trials: the first is {key}: {text}")
        };
        Some(what)
    };
    by_rule.into_iter().filter_map(line).collect()
}

/// Loaders on a machine that services run on: the same boot.
fn loaders_there(data: &RunData) -> Option<String> {
    let boots: Vec<_> = data
        .manifest
        .hosts
        .iter()
        .filter_map(|host| host.settings.boot_id.as_ref())
        .collect();
    let is_there = |loader: &&LoaderMachine| loader.facts.boot_id.as_ref().is_some_and(|boot| boots.contains(&boot));
    let there: Vec<&str> = data
        .manifest
        .loaders
        .iter()
        .filter(is_there)
        .map(|loader| loader.name.as_str())
        .collect();
    (!there.is_empty()).then(|| {
        format!(
            "On the machine of the services: loader {}. There it takes CPU time and cache from them.",
            there.join(", ")
        )
    })
}

/// Kernel, CPU, memory alike: most likely one machine.
fn same_host(data: &RunData) -> Option<String> {
    if !data.manifest.loaders.is_empty() {
        return loaders_there(data);
    }
    let controller = &data.manifest.controller;
    let alike = data.manifest.hosts.iter().find(|h| {
        h.kernel == controller.kernel
            && h.cpu_model == controller.cpu_model
            && h.memory_bytes == controller.memory_bytes
    })?;
    Some(format!(
        "Kernel, CPU and memory of the controller's host {} and of {} are the same. On one machine the generator takes CPU time and cache \
         from the services, and nothing passes over a wire: compare platforms, but do not quote the numbers as a network service's.",
        controller.machine, alike.host
    ))
}

fn drifting(analysis: &Analysis) -> Vec<String> {
    const LEVEL: f64 = 0.05;
    let bad = analysis.drifts.iter().filter(|d| d.trend.p < LEVEL);
    let line = |d: &super::analysis::Drift| {
        let way = if d.trend.tau > 0.0 { "grows" } else { "falls" };
        let p = super::format::p_value(d.trend.p);
        format!(
            "{}: the median response time {way} with the trial's place (Kendall's tau {:.2}, p {p})",
            d.cell, d.trend.tau
        )
    };
    bad.map(line).collect()
}

fn too_few(analysis: &Analysis) -> Option<String> {
    let least = analysis.cells.iter().map(|c| c.n).min()?;
    (least < trend::LEAST).then(|| {
        format!(
            "The smallest cell has {least} trials. Below 6 no 95 % interval of a median exists, whatever the data, and hardly any difference can be \
             significant after correction; set iterations to 6 or more, better 30."
        )
    })
}
