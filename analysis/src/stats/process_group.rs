//! The CPU time and other counters of a group of processes: those of a service, or of a part of the platform.
//!
//! A process is identified by its PID and start time, so a reused PID is another process.
//!
//! * First seen before the interval: counts from its value at the beginning.
//! * First seen inside it while the sampler was running: the process is new and counts from 0.
//! * Gone before the end: counts to its last sample. What it used after that, and what unseen children used, is taken from the parent's
//!   counters of reaped children, less what was counted of those children while they lived.
//! * Threads that ended between two samples are in the clock ticks of their process and not in the sum over its threads; where the ticks
//!   exceed that sum, the difference is added.

use protocol::sample::{Counter, Sample};

use super::recording::{SampleWindow, TimeSeries};

/// The maximum rounding error of user plus system ticks; smaller differences are ignored.
const ROUNDING_TICKS: f64 = 2.0;

/// One process.
#[derive(Debug)]
struct Member<'a> {
    samples: &'a [&'a Sample],
    /// Its own CPU time, ns.
    own: TimeSeries,
    /// CPU time of reaped children, ns.
    reaped: TimeSeries,
}

/// Processes that are summed.
#[derive(Debug)]
pub struct ProcessGroup<'a> {
    members: Vec<Member<'a>>,
    /// Whether every sample with CPU time has it in ns.
    has_ns: bool,
    last_ns: u64,
    tick_ns: f64,
}

impl<'a> ProcessGroup<'a> {
    /// The processes with these samples, each ordered by time.
    #[must_use]
    pub fn of(processes: impl Iterator<Item = &'a [&'a Sample]>, cut: &SampleWindow) -> Self {
        let tick_ns = cut.tick_ns();
        let member = |samples: &'a [&'a Sample]| Member {
            own: own_cpu(samples, tick_ns),
            reaped: tick_sum(samples, [Counter::ReapedUserTicks, Counter::ReapedSystemTicks], tick_ns),
            samples,
        };
        let members: Vec<_> = processes.map(member).collect();
        let samples = || members.iter().flat_map(|member| member.samples);
        Self {
            has_ns: samples().all(|sample| {
                let has = |counter| sample.counters.get(counter).is_some();
                has(Counter::CpuNs) || !has(Counter::RssBytes) && !has(Counter::UserTicks)
            }),
            last_ns: samples().map(|sample| sample.offset_ns).max().unwrap_or(0),
            tick_ns,
            members,
        }
    }

    /// Whether CPU time is available in ns rather than clock ticks.
    #[must_use]
    pub const fn has_ns(&self) -> bool {
        self.has_ns
    }

    /// The times of its first and last sample.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        let starts = self.members.iter().filter_map(|member| member.samples.first());
        Some((starts.map(|sample| sample.offset_ns).min()?, self.last_ns))
    }

    /// The number of processes seen in an interval.
    #[must_use]
    pub fn process_count(&self, from: u64, to: u64) -> usize {
        let touches = |member: &&Member<'_>| {
            let ends = (member.samples.first(), member.samples.last());
            matches!(ends, (Some(first), Some(last)) if first.offset_ns <= to && last.offset_ns >= from)
        };
        self.members.iter().filter(touches).count()
    }

    /// Total CPU time in an interval, ns.
    #[must_use]
    pub fn cpu_ns(&self, from: u64, to: u64, was_sampling: bool) -> f64 {
        let grown = |series: for<'b> fn(&'b Member<'a>) -> &'b TimeSeries| -> f64 {
            self.members
                .iter()
                .map(|member| series(member).growth(from, to, was_sampling))
                .sum()
        };
        let vanished = self.members.iter().filter(|member| {
            let last = member.samples.last().map_or(0, |sample| sample.offset_ns);
            last < self.last_ns && last > from && last < to
        });
        let counted: f64 = vanished
            .map(|member| member.own.last().unwrap_or(0.0) + member.reaped.last().unwrap_or(0.0))
            .sum();
        grown(|member| &member.own) + (grown(|member| &member.reaped) - counted).max(0.0)
    }

    /// The growth of a counter over all processes in an interval; `None`: no process has the counter.
    #[must_use]
    pub fn growth(&self, counter: Counter, from: u64, to: u64, was_sampling: bool) -> Option<f64> {
        let all_series: Vec<TimeSeries> = self
            .members
            .iter()
            .map(|member| TimeSeries::of(member.samples, counter))
            .collect();
        let has = all_series.iter().any(|series| !series.is_empty());
        has.then(|| {
            all_series
                .iter()
                .map(|series| series.growth(from, to, was_sampling))
                .sum()
        })
    }

    /// The sum of a gauge over the processes that exist at the end, each at its last sample; `None`: none has it.
    #[must_use]
    pub fn last(&self, counter: Counter) -> Option<f64> {
        self.at_end(counter, TimeSeries::last, |samples| {
            samples
                .last()
                .is_some_and(|last| last.offset_ns >= self.last_ns.saturating_sub(ROUND_NS))
        })
    }

    /// The sum of a gauge over the processes that exist at the beginning, each at its first sample.
    #[must_use]
    pub fn first(&self, counter: Counter) -> Option<f64> {
        let begin = self.span()?.0;
        self.at_end(counter, TimeSeries::first, |samples| {
            samples.first().is_some_and(|first| first.offset_ns <= begin + ROUND_NS)
        })
    }

    /// The sum of a gauge near an instant over the processes that exist then; `None`: one of them has no sample within that distance.
    #[must_use]
    pub fn near(&self, counter: Counter, at: u64, within_ns: u64) -> Option<f64> {
        let exists = |member: &&Member<'_>| {
            let ends = (member.samples.first(), member.samples.last());
            matches!(ends, (Some(first), Some(last)) if first.offset_ns <= at && last.offset_ns >= at)
        };
        let one = |member: &Member<'a>| {
            let (offset, value) = TimeSeries::of(member.samples, counter).nearest(at)?;
            (offset.abs_diff(at) <= within_ns).then_some(value)
        };
        let values: Option<Vec<f64>> = self.members.iter().filter(exists).map(one).collect();
        values
            .filter(|values| !values.is_empty())
            .map(|values| values.iter().sum())
    }

    fn at_end(
        &self,
        counter: Counter,
        value: fn(&TimeSeries) -> Option<f64>,
        exists: impl Fn(&[&Sample]) -> bool,
    ) -> Option<f64> {
        let existing = self.members.iter().filter(|member| exists(member.samples));
        let values: Vec<f64> = existing
            .filter_map(|member| value(&TimeSeries::of(member.samples, counter)))
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The sum over the processes of the mean of a gauge, each weighted by its lifetime.
    #[must_use]
    pub fn mean(&self, counter: Counter, from: u64, to: u64) -> Option<f64> {
        let length = to.saturating_sub(from).max(1) as f64;
        let one = |member: &Member<'a>| {
            let series = TimeSeries::of(member.samples, counter);
            let (first, last) = (member.samples.first()?.offset_ns, member.samples.last()?.offset_ns);
            let (begin, end) = (
                first.max(from),
                if last >= self.last_ns.saturating_sub(ROUND_NS) {
                    to
                } else {
                    last.min(to)
                },
            );
            let lifetime = end.saturating_sub(begin) as f64 / length;
            Some(
                series.mean(begin, end.max(begin))?
                    * if begin <= from + ROUND_NS && end >= to {
                        1.0
                    } else {
                        lifetime
                    },
            )
        };
        let values: Vec<f64> = self.members.iter().filter_map(one).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// CPU usage as pidstat shows it for these PIDs, % of one CPU: whole clock ticks of user and system time between the first and last full samples
    /// of the interval, over the time between them, to two decimals, without ended children. Samples taken for an edge lie just behind it, so the
    /// interval is extended slightly. `None`: fewer than two such samples.
    #[must_use]
    pub fn pidstat_percent(&self, from: u64, to: u64) -> Option<f64> {
        let margin = (to.saturating_sub(from) / 50).max(EDGE_MARGIN_NS);
        let (from, to) = (from.saturating_sub(margin), to.saturating_add(margin));
        let one = |member: &Member<'a>| {
            let ticks = tick_sum(member.samples, [Counter::UserTicks, Counter::SystemTicks], 1.0);
            ticks
                .rate(from, to)
                .map(|per_ns| (per_ns * self.tick_ns * 10_000.0).round() / 100.0)
        };
        let values: Vec<f64> = self.members.iter().filter_map(one).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

/// How far outside the window a sample for its edge may lie, ns, unless 2 % of the window is more.
const EDGE_MARGIN_NS: u64 = 100_000_000;

/// Upper bound of the duration of one sampling round, ns.
const ROUND_NS: u64 = 50_000_000;

/// The CPU time of one process, ns.
fn own_cpu(samples: &[&Sample], tick_ns: f64) -> TimeSeries {
    let mut missing = 0.0;
    let points = samples.iter().filter_map(|sample| {
        let get = |counter| sample.counters.get(counter).map(|value| value as f64);
        let ticks = get(Counter::UserTicks)
            .zip(get(Counter::SystemTicks))
            .map(|(user, system)| (user + system) * tick_ns);
        let ns = match (get(Counter::CpuNs), ticks) {
            (Some(ns), Some(ticks)) if ticks - ns > ROUNDING_TICKS * tick_ns => {
                missing = f64::max(missing, ticks - ns);
                ns + missing
            }
            (Some(ns), _) => ns + missing,
            (None, ticks) => ticks?,
        };
        Some((sample.offset_ns, ns))
    });
    TimeSeries::new(points.collect())
}

/// The sum of two tick counters, in the unit of `tick`.
fn tick_sum(samples: &[&Sample], counters: [Counter; 2], tick: f64) -> TimeSeries {
    let points = samples.iter().filter_map(|sample| {
        let [a, b] = counters.map(|counter| sample.counters.get(counter));
        Some((sample.offset_ns, (a? as f64 + b? as f64) * tick))
    });
    TimeSeries::new(points.collect())
}

#[cfg(test)]
mod tests;
