//! CPU and memory of a service in the measured window, from raw counters.
//!
//! Counters are cumulative, so the use between two moments is a difference. A window's edge falls between two samples; the counter there
//! is interpolated on the line between them, which errs by at most the use of one sampling interval at each edge. A process is its PID
//! together with its start time, so a PID that is used again is another process.
//!
//! * Seen before the window: counts from its value at the window's start.
//! * Seen first inside it, while the sampler was already at work: it is new, and counts from 0.
//! * Gone before the end: counts to its last sample; what it used afterwards is not known.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Name;
use protocol::sample::Sample;
use serde::{Deserialize, Serialize};

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
    /// All CPU time, % of one CPU: from schedstat's ns, or the sum of the ticks where the kernel does not tell.
    pub cpu_total_percent: f64,
    /// Whether the total comes from schedstat.
    pub from_schedstat: bool,
    /// Mean over the ticks in the window of the resident memory of all its processes, bytes.
    pub rss_mean_bytes: f64,
    /// The highest of those, bytes.
    pub rss_max_bytes: u64,
}

/// A window on the runner's clock, ns since READY, and what is needed to read the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its beginning.
    pub start_ns: u64,
    /// Its end.
    pub end_ns: u64,
    /// The distance of two samples, ns.
    pub interval_ns: u64,
    /// Clock ticks a second.
    pub ticks_per_s: u64,
}

/// What each service used, by name.
#[must_use]
pub fn usage(samples: &[Sample], cut: Cut) -> Vec<ServiceUse> {
    let first = samples.iter().map(|s| s.offset_ns).min().unwrap_or(u64::MAX);
    let watched = first <= cut.start_ns;
    by_service(samples)
        .into_iter()
        .filter_map(|(service, samples)| service_use(service, &samples, cut, watched))
        .collect()
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

/// All services together over time, one point a tick from the second on.
#[must_use]
pub fn series(samples: &[Sample], interval_ns: u64, ticks_per_s: u64) -> Vec<Point> {
    let all: Vec<&Sample> = sorted(samples.iter());
    let sweeps = sweeps(&all, interval_ns);
    let step = |pair: &[Vec<&Sample>]| {
        let [before, after] = pair else { return None };
        let (from, to) = (before.first()?.offset_ns, after.first()?.offset_ns);
        let old: BTreeMap<_, _> = before.iter().map(|s| (process(s), cpu(s, ticks_per_s))).collect();
        let used: f64 = after
            .iter()
            .map(|s| cpu(s, ticks_per_s) - old.get(&process(s)).copied().unwrap_or(0.0))
            .sum();
        Some(Point {
            at_s: to as f64 / 1e9,
            cpu_percent: used.max(0.0) / (to.saturating_sub(from)).max(1) as f64 * 100.0,
            rss_bytes: after.iter().map(|s| s.rss_bytes).sum(),
        })
    };
    sweeps.windows(2).filter_map(step).collect()
}

/// What names a process for good.
fn process(sample: &Sample) -> (u32, u64) {
    (sample.pid, sample.start_ticks)
}

/// All CPU time so far, ns.
fn cpu(sample: &Sample, ticks_per_s: u64) -> f64 {
    let ticks = sample.user_ticks + sample.system_ticks;
    sample
        .cpu_ns
        .map_or(ticks as f64 * tick_ns(ticks_per_s), |ns| ns as f64)
}

/// The length of a clock tick, ns.
fn tick_ns(ticks_per_s: u64) -> f64 {
    1e9 / ticks_per_s.max(1) as f64
}

fn sorted<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<&'a Sample> {
    let mut all: Vec<&Sample> = samples.collect();
    all.sort_by_key(|s| s.offset_ns);
    all
}

fn by_service(samples: &[Sample]) -> BTreeMap<&Name, Vec<&Sample>> {
    let names: BTreeSet<&Name> = samples.iter().map(|s| &s.service).collect();
    names
        .into_iter()
        .map(|n| (n, sorted(samples.iter().filter(|s| s.service == *n))))
        .collect()
}

/// Groups samples, sorted by time, that were taken in one sweep: less than half an interval after its first, and each process once. The
/// sampler's last sweep, at STOP, may follow a tick of the grid at any distance.
fn sweeps<'a>(samples: &[&'a Sample], interval_ns: u64) -> Vec<Vec<&'a Sample>> {
    let mut sweeps: Vec<Vec<&Sample>> = Vec::new();
    let mut seen = BTreeSet::new();
    for &sample in samples {
        let again = !seen.insert(process(sample));
        match sweeps.last_mut() {
            Some(sweep) if !again && sample.offset_ns - sweep[0].offset_ns < interval_ns / 2 => sweep.push(sample),
            _ => {
                seen = BTreeSet::from([process(sample)]);
                sweeps.push(vec![sample]);
            }
        }
    }
    sweeps
}

fn service_use(service: &Name, samples: &[&Sample], cut: Cut, watched: bool) -> Option<ServiceUse> {
    let window = cut.end_ns.checked_sub(cut.start_ns).filter(|&w| w > 0)?;
    let from = samples.first()?.offset_ns.clamp(cut.start_ns, cut.end_ns);
    let from = if watched { cut.start_ns } else { from };
    let to = samples.last()?.offset_ns.clamp(cut.start_ns, cut.end_ns);
    let spanned = to.saturating_sub(from);
    let mut of_process: BTreeMap<_, Vec<&Sample>> = BTreeMap::new();
    for &sample in samples {
        of_process.entry(process(sample)).or_default().push(sample);
    }
    let touches = |p: &Vec<&Sample>| p[0].offset_ns <= cut.end_ns && p[p.len() - 1].offset_ns >= cut.start_ns;
    let processes: Vec<_> = of_process.into_values().filter(touches).collect();
    let sum =
        |counter: fn(&Sample) -> f64| -> f64 { processes.iter().map(|p| between(p, from, to, watched, counter)).sum() };
    let percent = |ns: f64| if spanned == 0 { 0.0 } else { ns / spanned as f64 * 100.0 };
    let tick = tick_ns(cut.ticks_per_s);
    let user = percent(sum(|s| s.user_ticks as f64) * tick);
    let system = percent(sum(|s| s.system_ticks as f64) * tick);
    let from_schedstat = samples.iter().all(|s| s.cpu_ns.is_some());
    let total = if from_schedstat {
        percent(sum(|s| s.cpu_ns.unwrap_or(0) as f64))
    } else {
        user + system
    };
    let inside: Vec<&Sample> = samples
        .iter()
        .copied()
        .filter(|s| (cut.start_ns..=cut.end_ns).contains(&s.offset_ns))
        .collect();
    let resident: Vec<u64> = sweeps(&inside, cut.interval_ns)
        .iter()
        .map(|sweep| sweep.iter().map(|s| s.rss_bytes).sum())
        .collect();
    Some(ServiceUse {
        service: service.clone(),
        processes: u32::try_from(processes.len()).unwrap_or(u32::MAX),
        ticks: u32::try_from(resident.len()).unwrap_or(u32::MAX),
        coverage: spanned as f64 / window as f64,
        cpu_user_percent: user,
        cpu_system_percent: system,
        cpu_total_percent: total,
        from_schedstat,
        rss_mean_bytes: resident.iter().sum::<u64>() as f64 / resident.len().max(1) as f64,
        rss_max_bytes: resident.iter().copied().max().unwrap_or(0),
    })
}

/// What a process's counter grew by between two moments.
fn between(samples: &[&Sample], from: u64, to: u64, watched: bool, counter: fn(&Sample) -> f64) -> f64 {
    let born_inside = watched && samples[0].offset_ns > from;
    let start = if born_inside {
        0.0
    } else {
        value_at(samples, from, counter)
    };
    (value_at(samples, to, counter) - start).max(0.0)
}

/// A counter at a moment: on the line between the samples around it; at an end, the value there.
fn value_at(samples: &[&Sample], at: u64, counter: fn(&Sample) -> f64) -> f64 {
    let after = samples.partition_point(|s| s.offset_ns < at);
    match (after.checked_sub(1).map(|i| samples[i]), samples.get(after)) {
        (Some(a), Some(b)) => {
            let share = (at - a.offset_ns) as f64 / (b.offset_ns - a.offset_ns) as f64;
            counter(a) + (counter(b) - counter(a)) * share
        }
        (Some(only), None) => counter(only),
        (None, Some(only)) => counter(only),
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;
    const CUT: Cut = Cut {
        start_ns: 2 * S,
        end_ns: 6 * S,
        interval_ns: S,
        ticks_per_s: 100,
    };

    /// A process that uses `percent` of a CPU, two thirds of it as user, seen at whole seconds.
    fn steady(pid: u32, seconds: std::ops::RangeInclusive<u64>, percent: u64) -> Vec<Sample> {
        let born = *seconds.start();
        let at = |s: u64| Sample {
            offset_ns: s * S + u64::from(pid),
            service: "tcp".parse().unwrap(),
            pid,
            start_ticks: born,
            user_ticks: (s - born) * percent * 2 / 3,
            system_ticks: (s - born) * percent / 3,
            cpu_ns: Some((s - born) * percent * S / 100),
            rss_bytes: 1000,
        };
        seconds.map(at).collect()
    }

    fn only(samples: &[Sample]) -> ServiceUse {
        let mut all = usage(samples, CUT);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[test]
    fn a_steady_process_has_its_share() {
        let used = only(&steady(1, 0..=8, 30));
        assert!((used.cpu_total_percent - 30.0).abs() < 1e-6, "{used:?}");
        assert!((used.cpu_user_percent - 20.0).abs() < 1e-6 && (used.cpu_system_percent - 10.0).abs() < 1e-6);
        assert_eq!((used.processes, used.rss_max_bytes), (1, 1000));
        assert!((used.coverage - 1.0).abs() < 1e-9 && used.from_schedstat);
    }

    #[test]
    fn the_last_sweep_may_follow_a_tick_at_once_and_counts_for_itself() {
        let mut samples = steady(1, 0..=5, 30);
        let mut last = samples[5].clone();
        last.offset_ns += S / 20;
        samples.push(last);
        let memory: Vec<u64> = series(&samples, S, 100).iter().map(|point| point.rss_bytes).collect();
        assert_eq!(memory, [1000; 6]);
        assert_eq!(only(&samples).rss_max_bytes, 1000);
    }

    #[test]
    fn without_schedstat_the_ticks_count() {
        let mut samples = steady(1, 0..=8, 30);
        samples[3].cpu_ns = None;
        let used = only(&samples);
        assert!(
            !used.from_schedstat && (used.cpu_total_percent - 30.0).abs() < 1e-6,
            "{used:?}"
        );
    }

    #[test]
    fn a_process_born_inside_counts_from_nothing_and_one_that_vanished_to_its_last_sample() {
        let mut samples = steady(1, 0..=4, 50);
        let mut late = steady(2, 4..=8, 50);
        for sample in &mut late {
            sample.cpu_ns = sample.cpu_ns.map(|ns| ns + S / 10);
        }
        samples.extend(late);
        // 2 s x 50 % of the first; 2 s x 50 % and the 0.1 s before it was seen of the second; over 4 s.
        let used = only(&samples);
        assert!((used.cpu_total_percent - 52.5).abs() < 1e-5, "{used:?}");
        assert_eq!(used.processes, 2);
        assert_eq!(used.rss_max_bytes, 2000, "both are there at 4 s");
    }

    #[test]
    fn a_pid_used_again_is_another_process() {
        let mut samples = steady(1, 0..=4, 100);
        let mut again = steady(1, 5..=8, 100);
        again.iter_mut().for_each(|s| s.start_ticks = 500);
        samples.extend(again);
        // 2 s of the first, 1 s of the second; never a negative difference.
        let used = only(&samples);
        assert!((used.cpu_total_percent - 75.0).abs() < 1e-5, "{used:?}");
    }

    #[test]
    fn samples_that_end_early_are_told_by_the_coverage() {
        let used = only(&steady(1, 0..=4, 40));
        assert!(
            (used.coverage - 0.5).abs() < 1e-6 && (used.cpu_total_percent - 40.0).abs() < 1e-5,
            "{used:?}"
        );
        let used = only(&steady(1, 4..=8, 40));
        assert!(
            (used.coverage - 0.5).abs() < 1e-6 && (used.cpu_total_percent - 40.0).abs() < 1e-5,
            "{used:?}"
        );
        assert!(usage(&[], CUT).is_empty());
    }

    #[test]
    fn a_series_has_one_point_a_tick() {
        let mut samples = steady(1, 0..=3, 30);
        samples.extend(steady(2, 0..=3, 20));
        let points = series(&samples, S, 100);
        assert_eq!(points.len(), 3);
        assert!(
            points
                .iter()
                .all(|p| (p.cpu_percent - 50.0).abs() < 1e-6 && p.rss_bytes == 2000),
            "{points:?}"
        );
    }

    proptest! {
        #[test]
        fn no_order_of_samples_panics_or_goes_below_zero(raw in proptest::collection::vec((0u64..10, 0u32..3, 0u64..2, 0u64..1000), 0..40)) {
            let mut samples: Vec<Sample> = raw.iter().map(|&(s, pid, start, n)| Sample {
                offset_ns: s * S / 2, service: "tcp".parse().unwrap(), pid, start_ticks: start,
                user_ticks: n, system_ticks: n, cpu_ns: (n % 7 != 0).then_some(n), rss_bytes: n,
            }).collect();
            for used in usage(&samples, CUT) {
                prop_assert!(used.cpu_total_percent >= 0.0 && used.cpu_total_percent.is_finite());
                prop_assert!((0.0..=1.0).contains(&used.coverage));
            }
            let forward = usage(&samples, CUT);
            samples.reverse();
            prop_assert_eq!(forward.len(), usage(&samples, CUT).len());
            prop_assert!(series(&samples, S, 100).len() <= samples.len());
        }
    }
}
