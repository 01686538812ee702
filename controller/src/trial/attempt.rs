//! Runs one attempt: feeds the state machine of [`super::state`] with events and executes its actions. Nothing here waits but for the next of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use protocol::bus::BusError;
use protocol::command::{Renew, Stop};
use protocol::event::Ready;
use protocol::sample::Samples;
use protocol::{Command, Envelope, Event};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::load::{LoadResult, RunningLoad};
use super::spec::AttemptSpec;
use super::state::{Action, End, Input, Phase, State};
use crate::fleet::SharedFleet;
use crate::peer::link::{Link, RESEND_INTERVAL};
use crate::progress::Progress;

/// The result of an attempt, before the audit.
#[derive(Debug)]
pub struct AttemptOutcome {
    /// Zero of the controller's clock in this attempt.
    pub began: Instant,
    /// Wall-clock time of the first RUN.
    pub started: Timestamp,
    /// Wall-clock time of the last reply.
    pub ended: Timestamp,
    /// The READY message.
    pub ready: Option<Ready>,
    /// The result of the load.
    pub load: LoadResult,
    /// The received samples.
    pub batches: SampleBatches,
    /// How the attempt ended.
    pub end: End,
    /// Whether the user interrupted it; the attempt is then discarded.
    pub cancelled: bool,
}

/// Interval between two updates on the load.
const UPDATE_INTERVAL: Duration = Duration::from_millis(250);

/// Runs an attempt to its end. A cancellation or deadline acts at once, whatever the attempt waits for.
///
/// # Errors
/// Only if the bus has failed permanently.
pub async fn run_attempt(
    (link, fleet): (&Arc<Link>, Option<&SharedFleet>),
    spec: &Arc<AttemptSpec>,
    cancel: &CancellationToken,
    progress: &dyn Progress,
) -> Result<AttemptOutcome, BusError> {
    let mut attempt = AttemptDriver {
        link,
        fleet,
        spec,
        state: State::Requested,
        deadline: Instant::now() + spec.deadlines.answer,
        load: None,
        outcome: AttemptOutcome {
            began: Instant::now(),
            started: Timestamp::now(),
            ended: Timestamp::now(),
            ready: None,
            load: LoadResult::default(),
            batches: SampleBatches::default(),
            end: End::NoAnswer(Phase::Answer),
            cancelled: false,
        },
    };
    attempt.execute(Action::SendRun);
    let (mut resend, mut renew) = (every(RESEND_INTERVAL), every(spec.deadlines.renew));
    let mut update = every(UPDATE_INTERVAL);
    while let Some(phase) = attempt.state.phase() {
        tokio::select! {
            event = link.next() => attempt.on_event(event?),
            result = load_result(&mut attempt.load) => attempt.on_load_result(result),
            () = sleep_until(attempt.deadline.into()) => attempt.step(Input::Deadline),
            () = cancel.cancelled(), if !attempt.outcome.cancelled => attempt.step(Input::Cancel),
            _ = resend.tick() => attempt.step(Input::Resend),
            _ = renew.tick() => attempt.renew(),
            _ = update.tick() => attempt.show_load(progress),
        }
        if let Some(next) = attempt.state.phase().filter(|&next| next != phase) {
            progress.phase(next.name());
        }
    }
    Ok(attempt.finish().await)
}

struct AttemptDriver<'a> {
    link: &'a Arc<Link>,
    fleet: Option<&'a SharedFleet>,
    spec: &'a Arc<AttemptSpec>,
    state: State,
    deadline: Instant,
    load: Option<RunningLoad>,
    outcome: AttemptOutcome,
}

impl AttemptDriver<'_> {
    /// Handles an event; those of other attempts are ignored.
    fn on_event(&mut self, event: Envelope<Event>) {
        if event.attempt != Some(self.spec.attempt) {
            debug!(event = event.body.as_str(), "event of another attempt");
            return;
        }
        match event.body {
            Event::Samples(samples) => self.outcome.batches.add(samples),
            body => {
                if let (Event::Ready(ready), None) = (&body, &self.outcome.ready) {
                    self.outcome.ready = Some(ready.clone());
                }
                self.step(Input::Event(body));
            }
        }
        if let State::Collecting(end) = &self.state
            && let End::Summary(_, summary) = &**end
            && self.outcome.batches.is_complete(summary.batches)
        {
            self.step(Input::Collected);
        }
    }

    fn on_load_result(&mut self, mut result: LoadResult) {
        let failure = result.failure.take();
        (self.outcome.load, self.load) = (result, None);
        self.step(failure.map_or(Input::LoadDone, Input::LoadFailed));
    }

    /// One transition of the state machine.
    fn step(&mut self, input: Input) {
        self.outcome.cancelled |= matches!(input, Input::Cancel);
        match self.state.on(input) {
            Ok((state, actions)) => {
                if state.phase() != self.state.phase() {
                    self.deadline = Instant::now() + self.time_for(&state);
                }
                self.state = state;
                actions.into_iter().for_each(|action| self.execute(action));
            }
            Err(illegal) => warn!(%illegal, attempt = %self.spec.attempt, "input ignored"),
        }
    }

    fn execute(&mut self, action: Action) {
        let command = match action {
            Action::SendRun => Command::Run(Box::new(self.spec.run.clone())),
            Action::SendStop(reason) => Command::Stop(Stop { reason }),
            Action::AbortLoad => return self.load.iter().for_each(RunningLoad::abort),
            Action::StartLoad(ready) => {
                let (spec, link) = (Arc::clone(self.spec), Arc::clone(self.link));
                self.load = Some(RunningLoad::start(spec, *ready, link, self.fleet.cloned()));
                return;
            }
        };
        self.link.send(self.spec.attempt, command);
    }

    /// The time until the deadline of a phase that begins.
    fn time_for(&self, state: &State) -> Duration {
        let limits = &self.spec.deadlines;
        match state.phase() {
            Some(Phase::Answer) => limits.answer,
            Some(Phase::Deploy) => limits.deploy,
            Some(Phase::Load) => limits.load,
            Some(Phase::Stop) => limits.stop,
            Some(Phase::Collect) => limits.samples,
            None => Duration::ZERO,
        }
    }

    fn renew(&self) {
        if matches!(self.state, State::Deploying | State::Loading) {
            self.link.send(self.spec.attempt, Command::Renew(Renew {}));
        }
    }

    fn show_load(&self, progress: &dyn Progress) {
        if let Some(load) = &self.load {
            let done = load.progress();
            let total = self.spec.expected_requests();
            progress.load_progress(done.succeeded + done.failed, total, done.failed);
        }
    }

    async fn finish(mut self) -> AttemptOutcome {
        if let Some(mut load) = self.load {
            load.abort();
            self.outcome.load = load.result().await;
        }
        if let State::Ended(end) = self.state {
            self.outcome.end = *end;
        }
        self.outcome.ended = Timestamp::now();
        self.outcome
    }
}

/// Waits for the result of a load; forever without a load.
async fn load_result(load: &mut Option<RunningLoad>) -> LoadResult {
    match load {
        Some(load) => load.result().await,
        None => std::future::pending().await,
    }
}

/// An interval whose first tick is one period away.
fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.reset();
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The received batches.
#[derive(Debug, Default)]
pub struct SampleBatches(Vec<Samples>);

impl SampleBatches {
    /// Adds a batch; a repeated one is ignored.
    pub fn add(&mut self, samples: Samples) {
        if let Err(index) = self.0.binary_search_by_key(&samples.batch, |known| known.batch) {
            self.0.insert(index, samples);
        }
    }

    /// Whether all `sent` batches were received.
    #[must_use]
    pub fn is_complete(&self, sent: u64) -> bool {
        self.0.len() as u64 >= sent
    }

    /// The batches, by number.
    #[must_use]
    pub fn as_slice(&self) -> &[Samples] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_and_reordered_batches_are_handled() {
        let mut batches = SampleBatches::default();
        let batch = |batch| Samples { batch, samples: vec![] };
        batches.add(batch(1));
        assert!(!batches.is_complete(2));
        batches.add(batch(0));
        batches.add(batch(1));
        assert!(batches.is_complete(2) && !batches.is_complete(3));
        let numbers: Vec<_> = batches.as_slice().iter().map(|batch| batch.batch).collect();
        assert_eq!(numbers, [0, 1]);
    }
}
