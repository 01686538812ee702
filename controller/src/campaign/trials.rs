//! Executes the trials of a plan one after the other, with retries.

use std::sync::Arc;
use std::time::Instant;

use protocol::command::Describe;
use protocol::facts::HostFacts;
use tokio_util::sync::CancellationToken;

use super::error::CampaignError;
use super::queue::{History, Queue, Task};
use super::session::Session;
use super::settle;
use crate::config::{Experiment, Load, Platform, Workload};
use crate::plan::{Cell, Eta, Plan, PlannedTrial};
use crate::progress::{Progress, TrialLabel};
use crate::trial::attempt::run_attempt;
use crate::trial::record;
use crate::trial::spec::AttemptSpec;
use crate::trial::state::End;
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
    totals: Totals,
}

/// The outcome of the trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Trials with a valid attempt.
    pub done: usize,
    /// Trials that used up their attempts.
    pub given_up: usize,
    /// Whether the user interrupted the run.
    pub interrupted: bool,
}

/// The plan, as stored in the manifest.
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
    /// The trials that remain according to the journal.
    pub fn new(
        experiment: &'a Experiment,
        plan: &'a Plan,
        folder: &'a RunFolder,
        manifest: &Manifest,
        entries: &[Entry],
        facts: &'a HostFacts,
    ) -> Self {
        let progress = store::Progress::of(entries);
        let mut totals = Totals::default();
        let blocks: Vec<u32> = manifest.plan.iter().map(|planned| planned.trial.block).collect();
        let histories: Vec<History> = manifest
            .plan
            .iter()
            .map(|planned| history(&progress.trial(&planned.trial)))
            .collect();
        totals.done = histories.iter().filter(|past| past.done).count();
        totals.given_up = histories
            .iter()
            .filter(|past| !past.done && past.used >= experiment.max_attempts)
            .count();
        let history_of = |index| {
            histories
                .get(usize::try_from(index).unwrap_or(usize::MAX))
                .copied()
                .unwrap_or_default()
        };
        let queue = Queue::new(&blocks, history_of, experiment.max_attempts);
        Self {
            experiment,
            plan,
            folder,
            facts,
            queue,
            eta: Eta::new(experiment, plan),
            totals,
        }
    }

    /// The number of trials that need no further attempt.
    pub const fn completed(&self) -> usize {
        self.totals.done + self.totals.given_up
    }

    /// Runs all trials.
    ///
    /// # Errors
    /// See [`CampaignError`]; a failed trial is not an error but is retried.
    pub async fn run_all(
        &mut self,
        session: &Session,
        journal: &mut Journal,
        progress: &dyn Progress,
        shutdown: &CancellationToken,
    ) -> Result<Totals, CampaignError> {
        while !shutdown.is_cancelled() {
            let Some(task) = self.queue.take() else {
                return Ok(self.totals);
            };
            let began = Instant::now();
            let Some((record, end)) = self.attempt(task, session, journal, progress, shutdown).await? else {
                break;
            };
            self.record_outcome(task, &record, began, progress);
            if matches!(end, End::NoAnswer(_)) {
                // A runner that is restarting answers again; one that is gone ends the run, which can be resumed.
                let answer = session
                    .link
                    .describe(Describe::default(), self.experiment.deadlines.runner);
                shutdown.run_until_cancelled(answer).await.transpose()?;
            }
        }
        self.totals.interrupted = true;
        Ok(self.totals)
    }

    /// Runs one attempt and stores it; `None`: the user interrupted it.
    async fn attempt(
        &self,
        task: Task,
        session: &Session,
        journal: &mut Journal,
        progress: &dyn Progress,
        shutdown: &CancellationToken,
    ) -> Result<Option<(TrialRecord, End)>, CampaignError> {
        let planned = self.planned(task);
        let cell = self.plan.cell(planned);
        let key = AttemptKey {
            trial: trial_key(self.experiment, cell, task.block),
            attempt: task.attempt,
        };
        let spec = AttemptSpec::new(self.experiment, parts(self.experiment, cell), key.clone(), task.index);
        let spec = Arc::new(spec);
        journal.append(JournalEvent::TrialStarted(TrialStarted {
            key: key.clone(),
            attempt_id: spec.attempt,
        }))?;
        progress.trial_started(&TrialLabel {
            number: planned.number,
            // Numbers stay as planned if an optional platform is left out.
            of: self.plan.trials.last().map_or(0, |last| last.number),
            cell: cell.name.clone(),
            block: task.block,
            attempt: task.attempt,
        });
        if spec.is_split() {
            // A lost loader may be restarting; one that is gone ends the run, which can be resumed.
            match session.describe_loaders(self.experiment, shutdown).await {
                Err(CampaignError::Interrupted) => return Ok(None),
                facts => drop(facts?),
            }
        }
        let initial = &self.facts.now;
        let host_wait = settle::wait(&session.link, self.experiment, initial, progress, shutdown).await?;
        if shutdown.is_cancelled() {
            return Ok(None);
        }
        let peers = (&session.link, session.fleet.as_ref());
        let outcome = run_attempt(peers, &spec, shutdown, progress).await?;
        if outcome.cancelled {
            return Ok(None);
        }
        progress.phase("storing");
        let end = outcome.end.clone();
        let (record, files) = record::store(self.folder, &spec, outcome, self.facts, host_wait)?;
        journal.append(JournalEvent::AttemptFinished(AttemptFinished::of(&record, files)))?;
        Ok(Some((record, end)))
    }

    /// Counts a trial or queues it for a retry, and reports the outcome.
    fn record_outcome(&mut self, task: Task, record: &TrialRecord, began: Instant, progress: &dyn Progress) {
        self.eta.trial_done(self.planned(task).cell, began.elapsed());
        let reasons: Vec<&str> = record
            .verdict
            .reasons
            .iter()
            .map(|reason| reason.text.as_str())
            .collect();
        let reasons = reasons.join("; ");
        let outcome = match record.verdict.validity {
            Validity::Invalid if self.queue.retry(task) => return progress.attempt_failed(&reasons),
            Validity::Invalid => {
                self.totals.given_up += 1;
                format!("given up after {} attempts: {reasons}", task.used + 1)
            }
            Validity::Suspect => format!("suspect: {reasons}"),
            Validity::Valid => "valid".to_owned(),
        };
        if record.verdict.validity != Validity::Invalid {
            self.totals.done += 1;
        }
        let waiting = self.queue.waiting().map(|task| self.planned(*task));
        progress.trial_done(&outcome, self.eta.remaining(waiting));
    }

    fn planned(&self, task: Task) -> &PlannedTrial {
        &self.plan.trials[usize::try_from(task.index).unwrap_or(usize::MAX)]
    }
}

fn history(trial: &store::TrialProgress) -> History {
    History {
        last_attempt: trial.last_attempt,
        used: u32::try_from(trial.ended.len()).unwrap_or(u32::MAX),
        done: trial.is_done(),
    }
}
