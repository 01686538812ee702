//! How long trials will take: the load's own time, which is known, and an overhead a trial, which is learnt.

use std::time::Duration;

use super::{Plan, PlannedTrial};
use crate::config::Experiment;
use protocol::load::LoadKind;

/// What a trial is assumed to take beside its load (deploy, settle, stop, verify) until one was measured.
pub const ASSUMED_OVERHEAD: Duration = Duration::from_secs(3);

/// How long a load takes: warm-up and measured window; where it ends with its users' requests, the time that they think.
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

/// An estimate of the time that trials will take.
#[derive(Clone, Debug)]
pub struct Eta {
    /// The load's time, per cell.
    loads: Vec<Duration>,
    /// Overheads measured so far, their sum.
    measured: Duration,
    /// How many were measured.
    trials: u32,
}

impl Eta {
    /// An estimate that has measured nothing yet.
    #[must_use]
    pub fn new(experiment: &Experiment, plan: &Plan) -> Self {
        let time = |cell: &super::Cell| load_time(&experiment.loads[cell.load].spec.kind);
        Self {
            loads: plan.cells.iter().map(time).collect(),
            measured: Duration::ZERO,
            trials: 0,
        }
    }

    /// A trial of this cell took so long, from its RUN to the end of its teardown. Failed ones count too: their time was spent.
    pub fn trial_done(&mut self, cell: usize, took: Duration) {
        self.measured += took.saturating_sub(self.load_of(cell));
        self.trials += 1;
    }

    /// What a trial takes beside its load: the mean of the measured, [`ASSUMED_OVERHEAD`] before any.
    #[must_use]
    pub fn overhead(&self) -> Duration {
        self.measured.checked_div(self.trials).unwrap_or(ASSUMED_OVERHEAD)
    }

    /// How long these trials will take.
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
