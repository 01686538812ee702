//! Processes that are summed as one: those of a service, of a part of the platform.
//!
//! A process is its PID together with its start time, so a PID that is used again is another one.
//!
//! * Seen before the stretch: counts from its value at the beginning.
//! * Seen first inside it, while the sampler was already at work: it is new, and counts from 0.
//! * Gone before the end: counts to its last sample. What it used after that, and what children used that were never seen, comes out of the
//!   times of children that its parent waited for, less what was counted of them while they lived.
//! * Threads that came and went between two samples are in the clock ticks of their process and not in the sum of its threads; where the ticks
//!   say more, the difference is added.

use protocol::sample::{Counter, Sample};

use super::recording::{Cut, Track};

/// Clock ticks that user and system time together are rounded down by, at most: a smaller difference says nothing.
const ROUNDING_TICKS: f64 = 2.0;

/// One process.
#[derive(Debug)]
struct Member<'a> {
    samples: &'a [&'a Sample],
    /// CPU time of its own, ns.
    own: Track,
    /// CPU time of children that it waited for, ns.
    reaped: Track,
}

/// Processes that are summed as one.
#[derive(Debug)]
pub struct Family<'a> {
    members: Vec<Member<'a>>,
    /// Whether every sample that tells its CPU time tells ns.
    has_ns: bool,
    last_ns: u64,
    tick_ns: f64,
}

impl<'a> Family<'a> {
    /// The processes whose samples these are, each in the order of time.
    #[must_use]
    pub fn of(processes: impl Iterator<Item = &'a [&'a Sample]>, cut: &Cut) -> Self {
        let tick_ns = cut.tick_ns();
        let member = |samples: &'a [&'a Sample]| Member {
            own: own(samples, tick_ns),
            reaped: sum_of_ticks(samples, [Counter::ReapedUserTicks, Counter::ReapedSystemTicks], tick_ns),
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

    /// Whether its CPU time is in ns, and not in clock ticks.
    #[must_use]
    pub const fn has_ns(&self) -> bool {
        self.has_ns
    }

    /// When it was first and last seen.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        let starts = self.members.iter().filter_map(|member| member.samples.first());
        Some((starts.map(|sample| sample.offset_ns).min()?, self.last_ns))
    }

    /// How many of its processes were seen in a stretch.
    #[must_use]
    pub fn seen(&self, from: u64, to: u64) -> usize {
        let touches = |member: &&Member<'_>| {
            let ends = (member.samples.first(), member.samples.last());
            matches!(ends, (Some(first), Some(last)) if first.offset_ns <= to && last.offset_ns >= from)
        };
        self.members.iter().filter(touches).count()
    }

    /// All its CPU time between two moments, ns.
    #[must_use]
    pub fn cpu_ns(&self, from: u64, to: u64, watched: bool) -> f64 {
        let grown = |track: for<'b> fn(&'b Member<'a>) -> &'b Track| -> f64 {
            self.members
                .iter()
                .map(|member| track(member).growth(from, to, watched))
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

    /// What a counter of all its processes grew by between two moments; `None`: none of them has it.
    #[must_use]
    pub fn growth(&self, counter: Counter, from: u64, to: u64, watched: bool) -> Option<f64> {
        let tracks: Vec<Track> = self
            .members
            .iter()
            .map(|member| Track::of(member.samples, counter))
            .collect();
        let has = tracks.iter().any(|track| !track.is_empty());
        has.then(|| tracks.iter().map(|track| track.growth(from, to, watched)).sum())
    }

    /// The sum over its processes of a state, at the last sample of each that has it and is still there at the end; `None`: none has it.
    #[must_use]
    pub fn last(&self, counter: Counter) -> Option<f64> {
        self.at_end(counter, Track::last, |samples| {
            samples
                .last()
                .is_some_and(|last| last.offset_ns >= self.last_ns.saturating_sub(SWEEP_NS))
        })
    }

    /// The same at the beginning.
    #[must_use]
    pub fn first(&self, counter: Counter) -> Option<f64> {
        let begin = self.span()?.0;
        self.at_end(counter, Track::first, |samples| {
            samples.first().is_some_and(|first| first.offset_ns <= begin + SWEEP_NS)
        })
    }

    /// The sum over its processes of a state near a moment; `None`: one that was there then has no sample of it within that distance.
    #[must_use]
    pub fn near(&self, counter: Counter, at: u64, within_ns: u64) -> Option<f64> {
        let is_there = |member: &&Member<'_>| {
            let ends = (member.samples.first(), member.samples.last());
            matches!(ends, (Some(first), Some(last)) if first.offset_ns <= at && last.offset_ns >= at)
        };
        let one = |member: &Member<'a>| {
            let (offset, value) = Track::of(member.samples, counter).nearest(at)?;
            (offset.abs_diff(at) <= within_ns).then_some(value)
        };
        let values: Option<Vec<f64>> = self.members.iter().filter(is_there).map(one).collect();
        values
            .filter(|values| !values.is_empty())
            .map(|values| values.iter().sum())
    }

    fn at_end(
        &self,
        counter: Counter,
        value: fn(&Track) -> Option<f64>,
        is_there: impl Fn(&[&Sample]) -> bool,
    ) -> Option<f64> {
        let there = self.members.iter().filter(|member| is_there(member.samples));
        let values: Vec<f64> = there
            .filter_map(|member| value(&Track::of(member.samples, counter)))
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The sum over its processes of the mean of a state, each weighted by how long it was there.
    #[must_use]
    pub fn mean(&self, counter: Counter, from: u64, to: u64) -> Option<f64> {
        let length = to.saturating_sub(from).max(1) as f64;
        let one = |member: &Member<'a>| {
            let track = Track::of(member.samples, counter);
            let (first, last) = (member.samples.first()?.offset_ns, member.samples.last()?.offset_ns);
            let (begin, end) = (
                first.max(from),
                if last >= self.last_ns.saturating_sub(SWEEP_NS) {
                    to
                } else {
                    last.min(to)
                },
            );
            let there = end.saturating_sub(begin) as f64 / length;
            Some(
                track.mean(begin, end.max(begin))?
                    * if begin <= from + SWEEP_NS && end >= to {
                        1.0
                    } else {
                        there
                    },
            )
        };
        let values: Vec<f64> = self.members.iter().filter_map(one).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// CPU as pidstat shows it for these PIDs, % of one CPU: whole clock ticks of user and system time between the full samples next to the ends,
    /// over the time between them, to two decimals; children that have ended are not in it. Those that were read because an end came lie just behind it,
    /// so a little beyond the ends counts, too. `None`: fewer than two such samples.
    #[must_use]
    pub fn pidstat_percent(&self, from: u64, to: u64) -> Option<f64> {
        let beyond = (to.saturating_sub(from) / 50).max(BEYOND_NS);
        let (from, to) = (from.saturating_sub(beyond), to.saturating_add(beyond));
        let one = |member: &Member<'a>| {
            let ticks = sum_of_ticks(member.samples, [Counter::UserTicks, Counter::SystemTicks], 1.0);
            ticks
                .rate(from, to)
                .map(|per_ns| (per_ns * self.tick_ns * 10_000.0).round() / 100.0)
        };
        let values: Vec<f64> = self.members.iter().filter_map(one).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

/// How far beyond an end of the window a reading may lie that was made for it, ns, if that is more than 2 % of the window.
const BEYOND_NS: u64 = 100_000_000;

/// How long one round of samples takes at most, ns: those of one round lie no further apart.
const SWEEP_NS: u64 = 50_000_000;

/// CPU time of one process, ns.
fn own(samples: &[&Sample], tick_ns: f64) -> Track {
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
    Track::new(points.collect())
}

/// The sum of two counters of clock ticks, in the unit that a tick is given in.
fn sum_of_ticks(samples: &[&Sample], counters: [Counter; 2], tick: f64) -> Track {
    let points = samples.iter().filter_map(|sample| {
        let [a, b] = counters.map(|counter| sample.counters.get(counter));
        Some((sample.offset_ns, (a? as f64 + b? as f64) * tick))
    });
    Track::new(points.collect())
}

#[cfg(test)]
mod tests;
