//! Raw samples by subject, and counters as time series.

use std::collections::BTreeMap;

use protocol::sample::{Counter, CounterKind, Sample, Subject};

/// A window on the runner's clock, ns since READY, with the units of the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleWindow {
    /// Its beginning.
    pub start_ns: u64,
    /// Its end.
    pub end_ns: u64,
    /// The sampling interval, ns.
    pub interval_ns: u64,
    /// Clock ticks per second.
    pub ticks_per_s: u64,
}

impl SampleWindow {
    /// The length of a clock tick, ns.
    #[must_use]
    pub fn tick_ns(&self) -> f64 {
        1e9 / self.ticks_per_s.max(1) as f64
    }

    /// Its length, ns; `None`: it has none.
    #[must_use]
    pub fn length_ns(&self) -> Option<u64> {
        self.end_ns.checked_sub(self.start_ns).filter(|&length| length > 0)
    }
}

/// The samples of an attempt by subject, each ordered by time.
#[derive(Debug)]
pub struct Recording<'a> {
    by_subject: BTreeMap<&'a Subject, Vec<&'a Sample>>,
    first_ns: u64,
}

impl<'a> Recording<'a> {
    /// Groups and sorts the samples.
    #[must_use]
    pub fn of(samples: &'a [Sample]) -> Self {
        let mut by_subject: BTreeMap<&Subject, Vec<&Sample>> = BTreeMap::new();
        for sample in samples {
            by_subject.entry(&sample.of).or_default().push(sample);
        }
        for samples in by_subject.values_mut() {
            samples.sort_by_key(|sample| sample.offset_ns);
        }
        let first_ns = samples.iter().map(|sample| sample.offset_ns).min().unwrap_or(u64::MAX);
        Self { by_subject, first_ns }
    }

    /// Whether the sampler was running at an instant: a process first seen after it is new.
    #[must_use]
    pub const fn was_sampling_at(&self, at_ns: u64) -> bool {
        self.first_ns <= at_ns
    }

    /// All subjects with their samples.
    pub fn subjects(&self) -> impl Iterator<Item = (&'a Subject, &[&'a Sample])> {
        self.by_subject
            .iter()
            .map(|(subject, samples)| (*subject, &samples[..]))
    }

    /// The subjects selected by `pick`.
    pub fn select<'b, T: 'a>(
        &'b self,
        pick: impl Fn(&'a Subject) -> Option<T> + 'b,
    ) -> impl Iterator<Item = (T, &'b [&'a Sample])> + 'b {
        self.by_subject
            .iter()
            .filter_map(move |(subject, samples)| Some((pick(subject)?, &samples[..])))
    }

    /// The time series of one counter of one subject.
    #[must_use]
    pub fn series(&self, subject: &Subject, counter: Counter) -> TimeSeries {
        let samples = self.by_subject.get(subject).map_or(&[][..], |samples| &samples[..]);
        TimeSeries::of(samples, counter)
    }
}

/// The kind of a subject and its name among those of its kind, as in `samples.csv`.
#[must_use]
pub fn kind_and_name(subject: &Subject) -> (&'static str, String) {
    match subject {
        Subject::Cgroup(_) => ("cgroup", String::new()),
        Subject::Process(_) => ("process", String::new()),
        Subject::Threads(of) => ("threads", of.role.as_str().to_owned()),
        Subject::Platform(of) => ("platform", of.part.to_string()),
        Subject::Runner(_) => ("runner", String::new()),
        Subject::OtherProcesses(of) => ("rest", of.kind.as_str().to_owned()),
        Subject::Host(_) => ("host", String::new()),
        Subject::Link(of) => ("link", of.interface.clone()),
        Subject::Engine(_) => ("engine", String::new()),
        Subject::Guest(_) => ("guest", String::new()),
        Subject::GuestThread(of) => ("guest-thread", of.name.clone()),
        Subject::Energy(of) => ("energy", of.domain.clone()),
    }
}

/// A counter over time: the samples that contain it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeSeries(Vec<(u64, f64)>);

impl TimeSeries {
    /// The series of a counter. A cumulative counter never falls (idle time may go back by a tick).
    #[must_use]
    pub fn of(samples: &[&Sample], counter: Counter) -> Self {
        let points = samples
            .iter()
            .filter_map(|sample| Some((sample.offset_ns, sample.counters.get(counter)? as f64)));
        let mut points: Vec<(u64, f64)> = points.collect();
        if counter.kind() == CounterKind::Cumulative {
            let mut highest = 0.0;
            for (_, value) in &mut points {
                highest = f64::max(highest, *value);
                *value = highest;
            }
        }
        Self(points)
    }

    /// A series of computed values.
    #[must_use]
    pub const fn new(points: Vec<(u64, f64)>) -> Self {
        Self(points)
    }

    /// Whether no sample contains the counter.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The times of its first and last sample.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        Some((self.0.first()?.0, self.0.last()?.0))
    }

    /// The sample nearest to an instant, with its time; `None`: the series is empty.
    #[must_use]
    pub fn nearest(&self, at: u64) -> Option<(u64, f64)> {
        self.0.iter().copied().min_by_key(|point| point.0.abs_diff(at))
    }

    /// The last value.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.0.last().map(|point| point.1)
    }

    /// The first value.
    #[must_use]
    pub fn first(&self) -> Option<f64> {
        self.0.first().map(|point| point.1)
    }

    /// The growth of a counter in an interval. `is_new`: a counter first seen after the beginning started from 0.
    #[must_use]
    pub fn growth(&self, from: u64, to: u64, is_new: bool) -> f64 {
        let born_inside = is_new && self.0.first().is_some_and(|first| first.0 > from);
        let start = if born_inside { 0.0 } else { self.at(from) };
        (self.at(to) - start).max(0.0)
    }

    /// The growth per ns between the first and last sample of an interval; `None`: there are fewer than two.
    #[must_use]
    pub fn rate(&self, from: u64, to: u64) -> Option<f64> {
        let mut inside = self.0.iter().filter(|(at, _)| (from..=to).contains(at));
        let first = inside.next()?;
        let last = inside.next_back()?;
        (last.0 > first.0).then(|| (last.1 - first.1).max(0.0) / (last.0 - first.0) as f64)
    }

    /// The mean of the samples in an interval; if there are none, the interpolated value at its beginning.
    #[must_use]
    pub fn mean(&self, from: u64, to: u64) -> Option<f64> {
        let inside = self.0.iter().filter(|(at, _)| (from..=to).contains(at));
        let (sum, count) = inside.fold((0.0, 0_u32), |(sum, count), point| (sum + point.1, count + 1));
        match count {
            0 => (!self.0.is_empty()).then(|| self.at(from)),
            count => Some(sum / f64::from(count)),
        }
    }

    /// The value at an instant, interpolated linearly; beyond an end, the value there.
    #[must_use]
    pub fn at(&self, at: u64) -> f64 {
        let after = self.0.partition_point(|point| point.0 < at);
        match (after.checked_sub(1).map(|before| self.0[before]), self.0.get(after)) {
            (Some(a), Some(b)) => {
                let share = (at - a.0) as f64 / (b.0 - a.0) as f64;
                a.1 + (b.1 - a.1) * share
            }
            (Some(only), None) => only.1,
            (None, Some(only)) => only.1,
            (None, None) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series(points: &[(u64, f64)]) -> TimeSeries {
        TimeSeries::new(points.to_vec())
    }

    #[test]
    fn growth_is_interpolated() {
        let series = series(&[(10, 100.0), (20, 200.0), (30, 200.0)]);
        assert_eq!(series.growth(15, 25, true), 50.0);
        assert_eq!(
            series.growth(0, 40, false),
            100.0,
            "the series is constant beyond its ends"
        );
        assert_eq!(series.growth(0, 40, true), 200.0, "a new counter starts from 0");
        assert_eq!((series.mean(15, 30), series.mean(11, 12)), (Some(200.0), Some(110.0)));
        assert_eq!(TimeSeries::default().growth(0, 9, true), 0.0);
        assert_eq!(TimeSeries::default().mean(0, 9), None);
    }

    proptest! {
        #[test]
        fn growth_is_bounded_by_the_counter(
            raw in proptest::collection::vec((0u64..1000, 0u64..1_000_000), 0..30), from in 0u64..1000, length in 0u64..1000, is_new: bool,
        ) {
            let mut samples: Vec<Sample> = raw.iter().map(|&(offset_ns, value)| Sample {
                offset_ns,
                of: Subject::Host(Default::default()),
                counters: [(Counter::UserTicks, value)].into_iter().collect(),
            }).collect();
            samples.sort_by_key(|sample| sample.offset_ns);
            let recording = Recording::of(&samples);
            let series = recording.series(&Subject::Host(Default::default()), Counter::UserTicks);
            let most = raw.iter().map(|point| point.1).max().unwrap_or(0) as f64;
            let whole = series.growth(from, from + length, is_new);
            prop_assert!((0.0..=most).contains(&whole), "{} of {}", whole, most);
            let half = from + length / 2;
            prop_assert!(series.growth(from, half, is_new) <= whole + 1e-6);
        }
    }
}
