//! Runs one attempt: feeds the state machine of [`super::state`] with events and executes its actions.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use protocol::bus::{BusError, CommandSender};
use protocol::command::{Renew, Stop};
use protocol::event::Ready;
use protocol::ids::{AttemptId, Name};
use protocol::sample::Samples;
use protocol::{Command, Envelope, Event};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::load::{LoadResult, RunningLoad};
use super::spec::AttemptSpec;
use super::state::{Action, End, Input, Phase, State};
use crate::fleet::SharedFleet;
use crate::peer::clock::{Exchange, PeerClock};
use crate::peer::link::{Link, RESEND_INTERVAL};
use analysis::store::{LoaderRecord, ReadbackRecord};
use loader::{Outcome, Progress};

/// The result of an attempt, before the audit.
#[derive(Debug)]
pub struct AttemptOutcome {
    /// Zero of the controller's clock in this attempt.
    pub began: Instant,
    /// Wall-clock time of the first RUN.
    pub started: Timestamp,
    /// Wall-clock time of the last reply.
    pub ended: Timestamp,
    /// The service under load.
    pub entry: Name,
    /// The READY message.
    pub ready: Option<Ready>,
    /// The runner's clock, from exchanges before and after the load.
    pub clock: Option<PeerClock>,
    /// The number of exchanges behind the clock estimate.
    pub exchanges: u32,
    /// The result of the load engine.
    pub outcome: Option<Outcome>,
    /// The part of each loader.
    pub loaders: Vec<LoaderRecord>,
    /// The readback of what the services did.
    pub readback: Option<ReadbackRecord>,
    /// The received samples.
    pub batches: SampleBatches,
    /// How the attempt ended.
    pub end: End,
    /// Whether the user interrupted it; the attempt is then discarded.
    pub cancelled: bool,
}

impl AttemptOutcome {
    /// The address of the service under load.
    #[must_use]
    pub fn endpoint(&self) -> Option<SocketAddr> {
        AttemptSpec::endpoint(self.ready.as_ref()?, &self.entry)
    }
}

/// A progress update.
#[derive(Clone, Copy, Debug)]
pub enum ProgressUpdate {
    /// A phase began.
    Phase(Phase),
    /// The progress of the load.
    Load(Progress),
}

/// The number of PING exchanges before the load, and again after it.
const EXCHANGES: u32 = 8;

/// Timeout of an exchange, after which the runner is lost.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long samples that SUMMARY counts may still be in transit.
const SAMPLES_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between two updates on the load.
const UPDATE_INTERVAL: Duration = Duration::from_millis(250);

/// Runs an attempt to its end.
///
/// # Errors
/// Only if the bus has failed permanently.
pub async fn run_attempt(
    (link, fleet): (&mut Link, Option<&SharedFleet>),
    spec: &AttemptSpec,
    cancel: &CancellationToken,
    on_progress: &mut (dyn FnMut(ProgressUpdate) + Send),
) -> Result<AttemptOutcome, BusError> {
    AttemptDriver::new(link, fleet, spec, cancel).run(on_progress).await
}

struct AttemptDriver<'a> {
    link: &'a mut Link,
    fleet: Option<&'a SharedFleet>,
    spec: &'a AttemptSpec,
    cancel: &'a CancellationToken,
    cancelled: bool,
    attempt: AttemptId,
    /// Commands are queued here, so that sending never blocks this task.
    command_tx: mpsc::UnboundedSender<Command>,
    began: Instant,
    started: Timestamp,
    state: State,
    deadline: Instant,
    ready: Option<Ready>,
    exchanges: Vec<Exchange>,
    load: Option<RunningLoad>,
    outcome: Option<Outcome>,
    loaders: Vec<LoaderRecord>,
    readback: Option<ReadbackRecord>,
    batches: SampleBatches,
}

impl<'a> AttemptDriver<'a> {
    fn new(
        link: &'a mut Link,
        fleet: Option<&'a SharedFleet>,
        spec: &'a AttemptSpec,
        cancel: &'a CancellationToken,
    ) -> Self {
        let attempt = spec.attempt;
        let (command_tx, command_rx) = mpsc::unbounded_channel();
        tokio::spawn(send_commands(link.commands(), link.host().clone(), attempt, command_rx));
        Self {
            link,
            fleet,
            spec,
            cancel,
            cancelled: false,
            attempt,
            command_tx,
            began: Instant::now(),
            started: Timestamp::now(),
            state: State::Requested,
            deadline: Instant::now() + spec.deadlines.answer,
            ready: None,
            exchanges: Vec::new(),
            load: None,
            outcome: None,
            loaders: Vec::new(),
            readback: None,
            batches: SampleBatches::default(),
        }
    }

    async fn run(mut self, on_progress: &mut (dyn FnMut(ProgressUpdate) + Send)) -> Result<AttemptOutcome, BusError> {
        self.send(Command::Run(Box::new(self.spec.run.clone())));
        let mut resend = every(RESEND_INTERVAL);
        let mut renew = every(self.spec.deadlines.renew);
        let mut update = every(UPDATE_INTERVAL);
        let cancel = self.cancel;
        while let Some(phase) = self.state.phase() {
            tokio::select! {
                event = self.link.next() => self.on_event(event?).await,
                result = load_result(&mut self.load) => self.on_load_result(result).await,
                () = sleep_until(self.deadline.into()) => self.step(Input::Deadline).await,
                () = cancel.cancelled(), if !self.cancelled => self.step(Input::Cancel).await,
                _ = resend.tick() => self.step(Input::Resend).await,
                _ = renew.tick() => self.renew(),
                _ = update.tick() => self.report_load(on_progress),
            }
            if let Some(next) = self.state.phase().filter(|&next| next != phase) {
                on_progress(ProgressUpdate::Phase(next));
            }
        }
        self.finish().await
    }

    /// Converts an event of this attempt to an input; events of other attempts are ignored.
    async fn on_event(&mut self, event: Envelope<Event>) {
        if event.attempt != Some(self.attempt) {
            debug!(event = event.body.as_str(), "event of another attempt");
            return;
        }
        match event.body {
            Event::Samples(samples) => self.batches.add(samples),
            Event::Accepted(_) => self.step(Input::Accepted).await,
            Event::Refused(refused) => self.step(Input::Refused(refused)).await,
            Event::Ready(ready) => {
                self.ready.get_or_insert_with(|| ready.clone());
                self.step(Input::Ready(ready)).await;
            }
            Event::Summary(summary) => self.step(Input::Summary(summary)).await,
            Event::Failed(failed) => self.step(Input::Failed(failed)).await,
            Event::Facts(_)
            | Event::Pong(_)
            | Event::Loader(_)
            | Event::Prepared(_)
            | Event::Progress(_)
            | Event::Chunk(_)
            | Event::Fired(_) => {}
        }
    }

    async fn on_load_result(&mut self, result: Result<LoadResult, String>) {
        let input = match result {
            Ok(LoadResult {
                outcome,
                loaders,
                readback,
            }) => {
                let failure = failure_of(&outcome);
                (self.outcome, self.loaders, self.readback) = (Some(outcome), loaders, readback);
                // A second clock measurement bounds the drift during the load.
                let measured = self.measure_clock(None).await;
                measured.map_or_else(|input| input, |()| failure.map_or(Input::LoadDone, Input::LoadFailed))
            }
            Err(why) => {
                // The load has no further result to wait for.
                self.load = None;
                Input::LoadFailed(why)
            }
        };
        self.step(input).await;
    }

    /// One transition of the state machine, and another one if an action fails.
    async fn step(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            self.cancelled |= matches!(input, Input::Cancel);
            let before = self.state.phase();
            match self.state.on(input) {
                Ok((state, actions)) => {
                    self.state = state;
                    if self.state.phase() != before {
                        self.deadline = Instant::now() + self.phase_deadline();
                    }
                    for action in actions {
                        next = self.execute(action).await.err();
                    }
                }
                Err(illegal) => warn!(%illegal, attempt = %self.attempt, "input ignored"),
            }
        }
    }

    /// # Errors
    /// The input that follows from an action that failed or was interrupted.
    async fn execute(&mut self, action: Action) -> Result<(), Input> {
        match action {
            Action::SendRun => self.send(Command::Run(Box::new(self.spec.run.clone()))),
            Action::SendStop(reason) => self.send(Command::Stop(Stop { reason })),
            Action::AbortLoad => self.load.iter().for_each(RunningLoad::abort),
            Action::StartLoad(ready) => {
                let entry = &self.spec.entry;
                let endpoint = AttemptSpec::endpoint(&ready, entry)
                    .ok_or_else(|| Input::LoadFailed(format!("READY has no endpoint of {entry}")))?;
                let fleet = self.fleet.filter(|_| self.spec.is_split());
                self.measure_clock(fleet.is_none().then_some(endpoint)).await?;
                self.load = Some(RunningLoad::start(
                    self.spec,
                    &ready,
                    endpoint,
                    (fleet, self.command_tx.clone()),
                ));
            }
        }
        Ok(())
    }

    /// Measures the runner's clock, after a check that the load will reach its endpoint if one is given. Meanwhile the lease is renewed, and a
    /// cancellation or the deadline interrupts.
    ///
    /// # Errors
    /// The input that follows from the failure or the interruption.
    async fn measure_clock(&mut self, endpoint: Option<SocketAddr>) -> Result<(), Input> {
        let (link, spec, exchanges) = (&mut *self.link, self.spec, &mut self.exchanges);
        let work = async {
            if let Some(endpoint) = endpoint {
                loader::check_reachable(&spec.contact(), endpoint).await?;
                loader::check_tls(&spec.load, endpoint).await?;
            }
            for _ in 0..EXCHANGES {
                let exchange = link.ping(EXCHANGE_TIMEOUT).await.map_err(|error| error.to_string())?;
                exchanges.push(exchange);
            }
            Ok(())
        };
        let mut work = std::pin::pin!(work);
        let mut renew = every(spec.deadlines.renew);
        loop {
            tokio::select! {
                result = &mut work => return result.map_err(Input::LoadFailed),
                () = self.cancel.cancelled(), if !self.cancelled => return Err(Input::Cancel),
                () = sleep_until(self.deadline.into()) => return Err(Input::Deadline),
                // The receiving task outlives this struct.
                _ = renew.tick() => drop(self.command_tx.send(Command::Renew(Renew {}))),
            }
        }
    }

    fn phase_deadline(&self) -> Duration {
        let limits = &self.spec.deadlines;
        match self.state.phase() {
            Some(Phase::Answer) => limits.answer,
            Some(Phase::Deploy) => limits.deploy,
            Some(Phase::Load) => limits.load,
            Some(Phase::Stop) => limits.stop,
            None => Duration::ZERO,
        }
    }

    fn renew(&self) {
        if matches!(self.state, State::Deploying | State::Loading) {
            self.send(Command::Renew(Renew {}));
        }
    }

    fn send(&self, command: Command) {
        // The receiving task outlives this struct; if it failed, the deadline would expire.
        drop(self.command_tx.send(command));
    }

    fn report_load(&self, on_progress: &mut (dyn FnMut(ProgressUpdate) + Send)) {
        if let Some(load) = &self.load {
            on_progress(ProgressUpdate::Load(load.progress()));
        }
    }

    async fn finish(mut self) -> Result<AttemptOutcome, BusError> {
        self.await_samples().await?;
        if self.outcome.is_none()
            && let Some(load) = &mut self.load
        {
            load.abort();
            if let Ok(LoadResult { outcome, loaders, .. }) = load.result().await {
                (self.outcome, self.loaders) = (Some(outcome), loaders);
            }
        }
        let end = match self.state {
            State::Ended(end) => *end,
            unfinished => End::NoAnswer(unfinished.phase().unwrap_or(Phase::Stop)),
        };
        Ok(AttemptOutcome {
            began: self.began,
            started: self.started,
            ended: Timestamp::now(),
            entry: self.spec.entry.clone(),
            ready: self.ready,
            clock: PeerClock::estimate(&self.exchanges),
            exchanges: u32::try_from(self.exchanges.len()).unwrap_or(u32::MAX),
            outcome: self.outcome,
            loaders: self.loaders,
            readback: self.readback,
            batches: self.batches,
            end,
            cancelled: self.cancelled,
        })
    }

    /// SAMPLES have a topic of their own and may arrive after the SUMMARY that counts them.
    async fn await_samples(&mut self) -> Result<(), BusError> {
        let State::Ended(end) = &self.state else { return Ok(()) };
        let End::Summary(_, summary) = end.as_ref() else {
            return Ok(());
        };
        let sent = summary.batches;
        let deadline = tokio::time::Instant::now() + SAMPLES_TIMEOUT;
        while !self.batches.is_complete(sent) {
            let Ok(event) = tokio::time::timeout_at(deadline, self.link.next()).await else {
                break;
            };
            let event = event?;
            if let (Event::Samples(samples), true) = (event.body, event.attempt == Some(self.attempt)) {
                self.batches.add(samples);
            }
        }
        Ok(())
    }
}

/// Why a load program failed, whose output is kept all the same; `None`: it did not, or the load is one of our engines.
fn failure_of(outcome: &Outcome) -> Option<String> {
    let external = outcome.external.as_ref()?;
    let why = external.failure.as_ref()?;
    Some(format!("{} failed: {why}", external.program))
}

/// Sends commands in order, each for as long as the broker takes.
async fn send_commands(
    commands: CommandSender,
    host: protocol::Name,
    attempt: AttemptId,
    mut queue: mpsc::UnboundedReceiver<Command>,
) {
    while let Some(command) = queue.recv().await {
        if let Err(error) = commands.send(&host, Some(attempt), command).await {
            warn!(%error, "command was not sent");
        }
    }
}

/// Waits for the result of a load; forever without a load.
async fn load_result(load: &mut Option<RunningLoad>) -> Result<LoadResult, String> {
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
