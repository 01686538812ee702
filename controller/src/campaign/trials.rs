//! Every trial of a plan, one after the other, each until it counts or its attempts are used up.

use std::time::Instant;

use protocol::facts::HostFacts;
use tokio_util::sync::CancellationToken;

use super::band;
use super::queue::{Past, Queue, Task};
use super::{CampaignError, Session};
use crate::conduct::state::End;
use crate::config::{Experiment, Load, Platform, Workload};
use crate::plan::{Cell, Eta, Plan, PlannedTrial};
use crate::progress::{Progress, TrialLabel};
use crate::trial::drive::{Tick, drive};
use crate::trial::order::Order;
use crate::trial::record;
use analysis::store::Validity;
use analysis::store::journal::{AttemptFinished, Entry, JournalEvent, TrialStarted};
use analysis::store::{self, AttemptKey, CellKey, Journal, Manifest, RunFolder, TrialKey, TrialRecord};

/// The trials of a run.
pub struct Trials<'a> {
    experiment: &'a Experiment,
    plan: &'a Plan,
    folder: &'a RunFolder,
    facts: &'a HostFacts,
    queue: Queue,
    eta: Eta,
    ended: Ended,
}

/// How the trials ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Trials that count.
    pub done: usize,
    /// Trials whose attempts are used up.
    pub given_up: usize,
    /// Whether the user ended it early.
    pub interrupted: bool,
}

/// The plan as the manifest keeps it.
pub fn planned(experiment: &Experiment, plan: &Plan) -> Vec<store::PlannedTrial> {
    let trials = (0..).zip(&plan.trials);
    trials
        .map(|(index, trial)| store::PlannedTrial {
            index,
            trial: trial_key(experiment, plan.cell(trial), trial.block),
        })
        .collect()
}

fn trial_key(experiment: &Experiment, cell: &Cell, block: u32) -> TrialKey {
    let (platform, workload, load) = parts(experiment, cell);
    let cell = CellKey {
        platform: platform.name.clone(),
        workload: workload.name.clone(),
        load: load.name.clone(),
    };
    TrialKey { block, cell }
}

fn parts<'a>(experiment: &'a Experiment, cell: &Cell) -> (&'a Platform, &'a Workload, &'a Load) {
    (
        &experiment.platforms[cell.platform],
        &experiment.workloads[cell.workload],
        &experiment.loads[cell.load],
    )
}

impl<'a> Trials<'a> {
    /// The trials that the journal's entries leave to be done.
    pub fn new(
        experiment: &'a Experiment,
        plan: &'a Plan,
        folder: &'a RunFolder,
        manifest: &Manifest,
        entries: &[Entry],
        facts: &'a HostFacts,
    ) -> Self {
        let progress = store::Progress::of(entries);
        let mut ended = Ended::default();
        let blocks: Vec<u32> = manifest.plan.iter().map(|planned| planned.trial.block).collect();
        let past: Vec<Past> = manifest
            .plan
            .iter()
            .map(|planned| past_of(&progress.trial(&planned.trial)))
            .collect();
        ended.done = past.iter().filter(|past| past.done).count();
        ended.given_up = past
            .iter()
            .filter(|past| !past.done && past.used >= experiment.max_attempts)
            .count();
        let at = |index| {
            past.get(usize::try_from(index).unwrap_or(usize::MAX))
                .copied()
                .unwrap_or_default()
        };
        let queue = Queue::new(&blocks, at, experiment.max_attempts);
        Self {
            experiment,
            plan,
            folder,
            facts,
            queue,
            eta: Eta::new(experiment, plan),
            ended,
        }
    }

    /// How many need nothing more.
    pub const fn settled(&self) -> usize {
        self.ended.done + self.ended.given_up
    }

    /// Does them all.
    ///
    /// # Errors
    /// See [`CampaignError`]; a trial that fails is not an error but tried again.
    pub async fn all(
        &mut self,
        session: &mut Session,
        journal: &mut Journal,
        progress: &Progress,
        shutdown: &CancellationToken,
    ) -> Result<Ended, CampaignError> {
        while !shutdown.is_cancelled() {
            let Some(task) = self.queue.take() else {
                return Ok(self.ended);
            };
            let began = Instant::now();
            let Some((record, end)) = self.attempt(task, session, journal, progress, shutdown).await? else {
                break;
            };
            self.settle(task, &record, began, progress);
            if matches!(end, End::Silent(_)) {
                // A runner that is coming back answers; one that is gone ends the run, which can be resumed.
                session.describe(self.experiment, shutdown).await?;
            }
        }
        self.ended.interrupted = true;
        Ok(self.ended)
    }

    /// One attempt, from its first line in the journal to its last; `None`: the user ended it, and it says nothing of the platform.
    async fn attempt(
        &self,
        task: Task,
        session: &mut Session,
        journal: &mut Journal,
        progress: &Progress,
        shutdown: &CancellationToken,
    ) -> Result<Option<(TrialRecord, End)>, CampaignError> {
        let planned = self.planned(task);
        let cell = self.plan.cell(planned);
        let key = AttemptKey {
            trial: trial_key(self.experiment, cell, task.block),
            attempt: task.attempt,
        };
        let order = Order::new(self.experiment, parts(self.experiment, cell), key.clone(), task.index);
        journal.append(JournalEvent::TrialStarted(TrialStarted {
            key: key.clone(),
            attempt_id: order.attempt,
        }))?;
        progress.trial_started(&TrialLabel {
            number: planned.number,
            // Numbers stay as planned where an optional platform is left out.
            of: self.plan.trials.last().map_or(0, |last| last.number),
            cell: cell.name.clone(),
            block: task.block,
            attempt: task.attempt,
        });
        if order.is_split() {
            // One that was lost may be on its way back; one that is gone ends the run, which can be resumed.
            match session.muster(self.experiment, shutdown).await {
                Err(CampaignError::Interrupted) => return Ok(None),
                mustered => drop(mustered?),
            }
        }
        let start = &self.facts.now;
        let band = band::wait(&mut session.link, self.experiment, start, progress, shutdown).await?;
        if shutdown.is_cancelled() {
            return Ok(None);
        }
        let due = order.requests_due();
        let mut watch = |tick| match tick {
            Tick::Phase(phase) => progress.phase(phase.as_str()),
            Tick::Load(load) => progress.load_tick(load.succeeded + load.failed, due, load.failed),
        };
        let ends = (&mut session.link, session.fleet.as_ref());
        let driven = drive(ends, &order, shutdown, &mut watch).await?;
        if driven.cancelled {
            return Ok(None);
        }
        progress.phase("writing");
        let end = driven.end.clone();
        let (record, files) = record::store(self.folder, &order, driven, self.facts, band)?;
        journal.append(JournalEvent::AttemptFinished(AttemptFinished::of(&record, files)))?;
        Ok(Some((record, end)))
    }

    /// Counts a trial or queues it again, and says so.
    fn settle(&mut self, task: Task, record: &TrialRecord, began: Instant, progress: &Progress) {
        self.eta.trial_done(self.planned(task).cell, began.elapsed());
        let reasons: Vec<&str> = record
            .verdict
            .reasons
            .iter()
            .map(|reason| reason.text.as_str())
            .collect();
        let reasons = reasons.join("; ");
        let outcome = match record.verdict.validity {
            Validity::Invalid if self.queue.again(task) => return progress.attempt_failed(&reasons),
            Validity::Invalid => {
                self.ended.given_up += 1;
                format!("given up after {} attempts: {reasons}", task.used + 1)
            }
            Validity::Suspect => format!("suspect: {reasons}"),
            Validity::Valid => "valid".to_owned(),
        };
        if record.verdict.validity != Validity::Invalid {
            self.ended.done += 1;
        }
        let waiting = self.queue.waiting().map(|task| self.planned(*task));
        progress.trial_done(&outcome, self.eta.remaining(waiting));
    }

    fn planned(&self, task: Task) -> &PlannedTrial {
        &self.plan.trials[usize::try_from(task.index).unwrap_or(usize::MAX)]
    }
}

fn past_of(trial: &store::TrialProgress) -> Past {
    Past {
        last_attempt: trial.last_attempt,
        used: u32::try_from(trial.ended.len()).unwrap_or(u32::MAX),
        done: trial.is_done(),
    }
}
