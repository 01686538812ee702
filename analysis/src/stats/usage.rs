//! CPU and memory of a service in the measurement window, from raw counters.
//!
//! Counters are cumulative, so the usage in an interval is a difference. At an edge of the window, the counter is interpolated linearly
//! between two samples, with an error of at most the usage of one sampling interval.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Name;
use protocol::sample::{Counter, Sample, ServiceProcess, ServiceRef, Subject};
use serde::{Deserialize, Serialize};

use super::process_group::ProcessGroup;
pub use super::recording::SampleWindow;
use super::recording::{Recording, TimeSeries};

/// The resource usage of a service in the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceUsage {
    /// The service.
    pub service: Name,
    /// Processes seen in the window.
    pub processes: u32,
    /// Sampling ticks in the window.
    pub ticks: u32,
    /// Share of the window that the samples span, 0 to 1. Percentages refer to the spanned part.
    pub coverage: f64,
    /// User time including guest time, % of one CPU, from clock ticks.
    pub cpu_user_percent: f64,
    /// System time, % of one CPU, from clock ticks.
    pub cpu_system_percent: f64,
    /// Total CPU time, % of one CPU.
    pub cpu_total_percent: f64,
    /// The source of the total.
    pub cpu_source: CpuSource,
    /// Resident memory summed over the processes: mean over the ticks in the window, or over the two around a window without ticks, bytes.
    pub rss_mean_bytes: f64,
    /// The maximum of these sums, bytes.
    pub rss_max_bytes: u64,
}

/// The source of a service's CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuSource {
    /// Its cgroup, ns.
    Cgroup,
    /// The schedstat of its threads, ns, and the ticks of reaped children.
    Schedstat,
    /// Clock ticks of its processes.
    Ticks,
}

/// The resource usage of each service, by name.
#[must_use]
pub fn usage(samples: &[Sample], window: SampleWindow) -> Vec<ServiceUsage> {
    services(&Recording::of(samples), &window)
}

/// The resource usage of each service, by name.
#[must_use]
pub fn services(recording: &Recording<'_>, window: &SampleWindow) -> Vec<ServiceUsage> {
    let names: BTreeSet<&Name> = recording.select(of_process).map(|(of, _)| &of.service).collect();
    names
        .into_iter()
        .filter_map(|name| service_usage(recording, name, window))
        .collect()
}

/// The processes of a service.
#[must_use]
pub fn processes<'a>(recording: &'a Recording<'a>, service: &Name, window: &SampleWindow) -> ProcessGroup<'a> {
    let own = recording.select(of_process).filter(|(of, _)| of.service == *service);
    ProcessGroup::of(own.map(|(_, samples)| samples), window)
}

/// The CPU time of a service's cgroup; `None`: it has none, or it was not sampled over the whole interval.
fn cgroup_cpu(recording: &Recording<'_>, service: &Name, from: u64, to: u64) -> Option<TimeSeries> {
    let service = service.clone();
    let series = recording.series(&Subject::Cgroup(ServiceRef { service }), Counter::CpuNs);
    let (first, last) = series.span()?;
    (first <= from && last >= to).then_some(series)
}

const fn of_process(subject: &Subject) -> Option<&ServiceProcess> {
    match subject {
        Subject::Process(of) => Some(of),
        _ => None,
    }
}

fn service_usage(recording: &Recording<'_>, service: &Name, window: &SampleWindow) -> Option<ServiceUsage> {
    let length_ns = window.length_ns()?;
    let was_sampling = recording.was_sampling_at(window.start_ns);
    let processes = processes(recording, service, window);
    let (first, last) = processes.span()?;
    let from = if was_sampling {
        window.start_ns
    } else {
        first.clamp(window.start_ns, window.end_ns)
    };
    let to = last.clamp(window.start_ns, window.end_ns);
    let spanned = to.saturating_sub(from);
    let percent = |ns: f64| if spanned == 0 { 0.0 } else { ns / spanned as f64 * 100.0 };
    let ticks = |counter| percent(processes.growth(counter, from, to, was_sampling).unwrap_or(0.0) * window.tick_ns());
    let (total, source) = match cgroup_cpu(recording, service, from, to) {
        Some(series) => (series.growth(from, to, false), CpuSource::Cgroup),
        None if processes.has_ns() => (processes.cpu_ns(from, to, was_sampling), CpuSource::Schedstat),
        None => (processes.cpu_ns(from, to, was_sampling), CpuSource::Ticks),
    };
    let (ticks_inside, resident) = resident(recording, service, window);
    Some(ServiceUsage {
        service: service.clone(),
        processes: u32::try_from(processes.process_count(window.start_ns, window.end_ns)).unwrap_or(u32::MAX),
        ticks: u32::try_from(ticks_inside).unwrap_or(u32::MAX),
        coverage: spanned as f64 / length_ns as f64,
        cpu_user_percent: ticks(Counter::UserTicks),
        cpu_system_percent: ticks(Counter::SystemTicks),
        cpu_total_percent: percent(total),
        cpu_source: source,
        rss_mean_bytes: resident.iter().sum::<u64>() as f64 / resident.len().max(1) as f64,
        rss_max_bytes: resident.iter().copied().max().unwrap_or(0),
    })
}

/// The number of ticks in the window, and the resident memory summed over the processes of a service at each, bytes. For a window without
/// ticks: at the tick before it and the tick after it.
fn resident(recording: &Recording<'_>, service: &Name, window: &SampleWindow) -> (usize, Vec<u64>) {
    let own = recording.select(of_process).filter(|(of, _)| of.service == *service);
    let all = own.flat_map(|(_, samples)| samples.iter().copied().filter(|sample| is_tick(sample)));
    let all = sorted(all);
    let before = all.partition_point(|sample| sample.offset_ns < window.start_ns);
    let until = all.partition_point(|sample| sample.offset_ns <= window.end_ns);
    let sums = |part: &[&Sample]| -> Vec<u64> {
        let rounds = rounds(part, window.interval_ns);
        rounds.iter().map(|round| rss(round)).collect()
    };
    let inside = sums(&all[before..until.max(before)]);
    if !inside.is_empty() {
        return (inside.len(), inside);
    }
    let last = sums(&all[..before]).pop();
    let next = sums(&all[before..]).into_iter().next();
    (0, last.into_iter().chain(next).collect())
}

/// Whether a sample belongs to a tick; samples of page tables alone have no resident memory.
fn is_tick(sample: &Sample) -> bool {
    sample.counters.get(Counter::RssBytes).is_some()
}

fn rss(round: &[&Sample]) -> u64 {
    round
        .iter()
        .filter_map(|sample| sample.counters.get(Counter::RssBytes))
        .sum()
}

/// A point of a time series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Seconds since READY.
    pub at_s: f64,
    /// CPU usage since the previous tick, % of one CPU.
    pub cpu_percent: f64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
}

/// The processes of all services together over time, one point per tick from the second on.
#[must_use]
pub fn series(samples: &[Sample], interval_ns: u64, ticks_per_s: u64) -> Vec<Point> {
    let of_ticks = |sample: &&Sample| of_process(&sample.of).is_some() && is_tick(sample);
    let all = sorted(samples.iter().filter(of_ticks));
    let rounds = rounds(&all, interval_ns);
    let mut known = BTreeMap::new();
    let mut points = Vec::new();
    let mut before = None;
    for round in &rounds {
        let Some(at) = round.first().map(|sample| sample.offset_ns) else {
            continue;
        };
        let mut used = 0.0;
        for sample in round {
            let cpu = cpu_so_far(sample, ticks_per_s);
            let old = known
                .insert(&sample.of, cpu.or_else(|| known.get(&sample.of).copied().flatten()))
                .flatten();
            used += cpu.map_or(0.0, |cpu| (cpu - old.unwrap_or(0.0)).max(0.0));
        }
        if let Some(from) = before.replace(at) {
            points.push(Point {
                at_s: at as f64 / 1e9,
                cpu_percent: used / at.saturating_sub(from).max(1) as f64 * 100.0,
                rss_bytes: rss(round),
            });
        }
    }
    points
}

/// The CPU time so far, ns; `None`: the sample does not contain it.
fn cpu_so_far(sample: &Sample, ticks_per_s: u64) -> Option<f64> {
    let get = |counter| sample.counters.get(counter);
    let ticks =
        || Some((get(Counter::UserTicks)? + get(Counter::SystemTicks)?) as f64 * 1e9 / ticks_per_s.max(1) as f64);
    get(Counter::CpuNs).map(|ns| ns as f64).or_else(ticks)
}

fn sorted<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<&'a Sample> {
    let mut all: Vec<&Sample> = samples.collect();
    all.sort_by_key(|sample| sample.offset_ns);
    all
}

/// Groups samples, sorted by time, by sampling round: less than half an interval after the round's first sample, and each process once. The
/// last round, at STOP, may follow a tick at any distance.
fn rounds<'a>(samples: &[&'a Sample], interval_ns: u64) -> Vec<Vec<&'a Sample>> {
    let mut rounds: Vec<Vec<&Sample>> = Vec::new();
    let mut seen = BTreeSet::new();
    for &sample in samples {
        let again = !seen.insert(&sample.of);
        match rounds.last_mut() {
            Some(round) if !again && sample.offset_ns - round[0].offset_ns < interval_ns / 2 => round.push(sample),
            _ => {
                seen = BTreeSet::from([&sample.of]);
                rounds.push(vec![sample]);
            }
        }
    }
    rounds
}

#[cfg(test)]
mod tests;
