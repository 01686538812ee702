//! Estimated duration of trials: the known duration of the load, plus a measured overhead per trial.

use std::time::Duration;

use super::order::{Plan, PlannedTrial};
use crate::config::Experiment;
use protocol::load::LoadKind;

/// The overhead of a trial (deployment, settling, stop, verification) until one was measured.
pub const ASSUMED_OVERHEAD: Duration = Duration::from_secs(3);

/// The duration of a load: warm-up and window; if it ends with the users' requests, their think time.
#[must_use]
pub fn load_time(kind: &LoadKind) -> Duration {
    let timing = kind.timing();
    let longest = timing.warm_up + timing.duration;
    match kind {
        LoadKind::Users(users) => users.requests.map_or(longest, |list| {
            longest.min(users.ramp_up + users.think.mean().saturating_mul(list.each))
        }),
        LoadKind::Udp(udp) => timing.warm_up + udp.expected() + udp.search.unwrap_or_default(),
        _ => longest,
    }
}

/// An estimate of the remaining time.
#[derive(Clone, Debug)]
pub struct Eta {
    /// The duration of the load, per cell.
    loads: Vec<Duration>,
    /// The sum of measured overheads.
    measured: Duration,
    /// The number of measured trials.
    trials: u32,
}

impl Eta {
    /// An estimate without measurements.
    #[must_use]
    pub fn new(experiment: &Experiment, plan: &Plan) -> Self {
        let time = |cell: &super::order::Cell| load_time(&experiment.loads[cell.load].spec.kind);
        Self {
            loads: plan.cells.iter().map(time).collect(),
            measured: Duration::ZERO,
            trials: 0,
        }
    }

    /// Records the duration of a trial, from RUN to the end of teardown. Failed trials count too.
    pub fn trial_done(&mut self, cell: usize, took: Duration) {
        self.measured += took.saturating_sub(self.load_of(cell));
        self.trials += 1;
    }

    /// The overhead of a trial: the mean of those measured, or [`ASSUMED_OVERHEAD`].
    #[must_use]
    pub fn overhead(&self) -> Duration {
        self.measured.checked_div(self.trials).unwrap_or(ASSUMED_OVERHEAD)
    }

    /// The estimated duration of these trials.
    #[must_use]
    pub fn remaining<'a>(&self, trials: impl IntoIterator<Item = &'a PlannedTrial>) -> Duration {
        let overhead = self.overhead();
        let time = |trial: &PlannedTrial| self.load_of(trial.cell).saturating_add(overhead);
        trials
            .into_iter()
            .map(time)
            .fold(Duration::ZERO, Duration::saturating_add)
    }

    fn load_of(&self, cell: usize) -> Duration {
        self.loads.get(cell).copied().unwrap_or_default()
    }
}
