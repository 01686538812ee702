//! CPU and memory of a service in the measured window, from raw counters.
//!
//! Counters are cumulative, so the use between two moments is a difference. A window's edge falls between two samples; the counter there
//! is interpolated on the line between them, which errs by at most the use of one sampling interval at each edge.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Name;
use protocol::sample::{Counter, Sample, ServiceProcess, ServiceRef, Subject};
use serde::{Deserialize, Serialize};

use super::family::Family;
pub use super::recording::Cut;
use super::recording::{Recording, Track};

/// What a service used in the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceUse {
    /// The service.
    pub service: Name,
    /// How many processes were seen in the window.
    pub processes: u32,
    /// How many sampling ticks fell into the window.
    pub ticks: u32,
    /// The share of the window that the samples span, 0 to 1. Percentages are of the spanned part.
    pub coverage: f64,
    /// User time, % of one CPU (guest time included), from clock ticks.
    pub cpu_user_percent: f64,
    /// System time, % of one CPU, from clock ticks.
    pub cpu_system_percent: f64,
    /// All CPU time, % of one CPU.
    pub cpu_total_percent: f64,
    /// Where the total comes from.
    pub cpu_source: CpuSource,
    /// Mean over the ticks in the window, or the two around one that holds none, of the resident memory of all its processes, bytes.
    pub rss_mean_bytes: f64,
    /// The highest of those, bytes.
    pub rss_max_bytes: u64,
}

/// Where a service's CPU time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuSource {
    /// Its cgroup, ns: everything that ran in it.
    Cgroup,
    /// Its processes' threads, ns, and their children's ticks.
    Schedstat,
    /// Its processes' clock ticks.
    Ticks,
}

/// What each service used, by name.
#[must_use]
pub fn usage(samples: &[Sample], cut: Cut) -> Vec<ServiceUse> {
    services(&Recording::of(samples), &cut)
}

/// What each service used, by name.
#[must_use]
pub fn services(recording: &Recording<'_>, cut: &Cut) -> Vec<ServiceUse> {
    let names: BTreeSet<&Name> = recording.only(of_process).map(|(of, _)| &of.service).collect();
    names
        .into_iter()
        .filter_map(|name| service_use(recording, name, cut))
        .collect()
}

/// The processes of a service.
#[must_use]
pub fn family<'a>(recording: &'a Recording<'a>, service: &Name, cut: &Cut) -> Family<'a> {
    let own = recording.only(of_process).filter(|(of, _)| of.service == *service);
    Family::of(own.map(|(_, samples)| samples), cut)
}

/// The CPU time of a service's cgroup; `None`: it has none, or not over the whole stretch.
#[must_use]
pub fn cgroup_cpu(recording: &Recording<'_>, service: &Name, from: u64, to: u64) -> Option<Track> {
    let service = service.clone();
    let track = recording.track(&Subject::Cgroup(ServiceRef { service }), Counter::CpuNs);
    let (first, last) = track.span()?;
    (first <= from && last >= to).then_some(track)
}

const fn of_process(subject: &Subject) -> Option<&ServiceProcess> {
    match subject {
        Subject::Process(of) => Some(of),
        _ => None,
    }
}

fn service_use(recording: &Recording<'_>, service: &Name, cut: &Cut) -> Option<ServiceUse> {
    let window = cut.length_ns()?;
    let watched = recording.is_watched(cut.start_ns);
    let family = family(recording, service, cut);
    let (first, last) = family.span()?;
    let from = if watched {
        cut.start_ns
    } else {
        first.clamp(cut.start_ns, cut.end_ns)
    };
    let to = last.clamp(cut.start_ns, cut.end_ns);
    let spanned = to.saturating_sub(from);
    let percent = |ns: f64| if spanned == 0 { 0.0 } else { ns / spanned as f64 * 100.0 };
    let ticks = |counter| percent(family.growth(counter, from, to, watched).unwrap_or(0.0) * cut.tick_ns());
    let (total, source) = match cgroup_cpu(recording, service, from, to) {
        Some(track) => (track.growth(from, to, false), CpuSource::Cgroup),
        None if family.has_ns() => (family.cpu_ns(from, to, watched), CpuSource::Schedstat),
        None => (family.cpu_ns(from, to, watched), CpuSource::Ticks),
    };
    let (ticks_inside, resident) = resident(recording, service, cut);
    Some(ServiceUse {
        service: service.clone(),
        processes: u32::try_from(family.seen(cut.start_ns, cut.end_ns)).unwrap_or(u32::MAX),
        ticks: u32::try_from(ticks_inside).unwrap_or(u32::MAX),
        coverage: spanned as f64 / window as f64,
        cpu_user_percent: ticks(Counter::UserTicks),
        cpu_system_percent: ticks(Counter::SystemTicks),
        cpu_total_percent: percent(total),
        cpu_source: source,
        rss_mean_bytes: resident.iter().sum::<u64>() as f64 / resident.len().max(1) as f64,
        rss_max_bytes: resident.iter().copied().max().unwrap_or(0),
    })
}

/// How many ticks fell into the window, and the resident memory of all processes of a service at each of them, bytes. Of a window that is
/// shorter than the interval, and holds none: at the tick before it and at the one behind it.
fn resident(recording: &Recording<'_>, service: &Name, cut: &Cut) -> (usize, Vec<u64>) {
    let own = recording.only(of_process).filter(|(of, _)| of.service == *service);
    let all = own.flat_map(|(_, samples)| samples.iter().copied().filter(|sample| tells_memory(sample)));
    let all = sorted(all);
    let before = all.partition_point(|sample| sample.offset_ns < cut.start_ns);
    let until = all.partition_point(|sample| sample.offset_ns <= cut.end_ns);
    let levels = |part: &[&Sample]| -> Vec<u64> {
        let sweeps = sweeps(part, cut.interval_ns);
        sweeps.iter().map(|sweep| rss(sweep)).collect()
    };
    let inside = levels(&all[before..until.max(before)]);
    if !inside.is_empty() {
        return (inside.len(), inside);
    }
    let last = levels(&all[..before]).pop();
    let next = levels(&all[before..]).into_iter().next();
    (0, last.into_iter().chain(next).collect())
}

/// Whether it is of a tick: one of page tables alone has no resident memory.
fn tells_memory(sample: &Sample) -> bool {
    sample.counters.get(Counter::RssBytes).is_some()
}

fn rss(sweep: &[&Sample]) -> u64 {
    sweep
        .iter()
        .filter_map(|sample| sample.counters.get(Counter::RssBytes))
        .sum()
}

/// A point of a curve over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Seconds since READY.
    pub at_s: f64,
    /// CPU since the tick before, % of one CPU.
    pub cpu_percent: f64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
}

/// The processes of all services together over time, one point a tick from the second on.
#[must_use]
pub fn series(samples: &[Sample], interval_ns: u64, ticks_per_s: u64) -> Vec<Point> {
    let of_ticks = |sample: &&Sample| of_process(&sample.of).is_some() && tells_memory(sample);
    let all = sorted(samples.iter().filter(of_ticks));
    let sweeps = sweeps(&all, interval_ns);
    let mut known = BTreeMap::new();
    let mut points = Vec::new();
    let mut before = None;
    for sweep in &sweeps {
        let Some(at) = sweep.first().map(|sample| sample.offset_ns) else {
            continue;
        };
        let mut used = 0.0;
        for sample in sweep {
            let cpu = cpu(sample, ticks_per_s);
            let old = known
                .insert(&sample.of, cpu.or_else(|| known.get(&sample.of).copied().flatten()))
                .flatten();
            used += cpu.map_or(0.0, |cpu| (cpu - old.unwrap_or(0.0)).max(0.0));
        }
        if let Some(from) = before.replace(at) {
            points.push(Point {
                at_s: at as f64 / 1e9,
                cpu_percent: used / at.saturating_sub(from).max(1) as f64 * 100.0,
                rss_bytes: rss(sweep),
            });
        }
    }
    points
}

/// All CPU time so far, ns; `None`: this sample does not tell.
fn cpu(sample: &Sample, ticks_per_s: u64) -> Option<f64> {
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

/// Groups samples, sorted by time, that were taken in one sweep: less than half an interval after its first, and each process once. The
/// sampler's last sweep, at STOP, may follow a tick of the grid at any distance.
fn sweeps<'a>(samples: &[&'a Sample], interval_ns: u64) -> Vec<Vec<&'a Sample>> {
    let mut sweeps: Vec<Vec<&Sample>> = Vec::new();
    let mut seen = BTreeSet::new();
    for &sample in samples {
        let again = !seen.insert(&sample.of);
        match sweeps.last_mut() {
            Some(sweep) if !again && sample.offset_ns - sweep[0].offset_ns < interval_ns / 2 => sweep.push(sample),
            _ => {
                seen = BTreeSet::from([&sample.of]);
                sweeps.push(vec![sample]);
            }
        }
    }
    sweeps
}

#[cfg(test)]
mod tests;
