//! Drives one attempt: feeds the pure machine of [`crate::conduct::state`] with what happens, and does what it says.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use protocol::bus::{BusError, CommandSender};
use protocol::command::{Renew, Stop};
use protocol::event::Ready;
use protocol::ids::{AttemptId, Name};
use protocol::{Command, Envelope, Event};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::load::{Measured, RunningLoad};
use super::order::Order;
use super::samples::Batches;
use crate::conduct::clock::{Exchange, RunnerClock};
use crate::conduct::link::{Link, RESEND_EVERY};
use crate::conduct::state::{Action, End, Input, Phase, State};
use crate::fleet::SharedFleet;
use analysis::store::{LoaderRecord, TruthRecord};
use loader::{Outcome, Progress};

/// What came of an attempt, before it is judged.
#[derive(Debug)]
pub struct Driven {
    /// The zero of the controller's clock in this attempt.
    pub began: Instant,
    /// Wall clock at the first RUN.
    pub started: Timestamp,
    /// Wall clock when the last answer was in.
    pub ended: Timestamp,
    /// The service that the load went to.
    pub front: Name,
    /// What READY said.
    pub ready: Option<Ready>,
    /// The runner's clock, from exchanges before and after the load.
    pub clock: Option<RunnerClock>,
    /// How many exchanges it rests on.
    pub exchanges: u32,
    /// What the load engine measured.
    pub outcome: Option<Outcome>,
    /// What each of several loaders did.
    pub loaders: Vec<LoaderRecord>,
    /// What the services really did, where that was read back.
    pub truth: Option<TruthRecord>,
    /// The samples that arrived.
    pub batches: Batches,
    /// How it ended.
    pub end: End,
    /// Whether the user wanted it to end; it then says nothing of the platform.
    pub cancelled: bool,
}

impl Driven {
    /// Where the load went.
    #[must_use]
    pub fn endpoint(&self) -> Option<SocketAddr> {
        Order::endpoint(self.ready.as_ref()?, &self.front)
    }
}

/// What a watcher is told.
#[derive(Clone, Copy, Debug)]
pub enum Tick {
    /// A phase begins.
    Phase(Phase),
    /// The load is so far.
    Load(Progress),
}

/// Exchanges of PING and PONG before the load, and as many after it.
const EXCHANGES: u32 = 8;

/// How long one exchange may take before the runner counts as lost.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(3);

/// How long samples that the SUMMARY counts may still be on their way.
const SAMPLES_WITHIN: Duration = Duration::from_secs(5);

/// How often a watcher is told of the load.
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// Drives an attempt to its end, whatever happens.
///
/// # Errors
/// Only where the bus has failed for good.
pub async fn drive(
    (link, fleet): (&mut Link, Option<&SharedFleet>),
    order: &Order,
    cancel: &CancellationToken,
    watch: &mut (dyn FnMut(Tick) + Send),
) -> Result<Driven, BusError> {
    Drive::new(link, fleet, order).run(cancel, watch).await
}

struct Drive<'a> {
    link: &'a mut Link,
    fleet: Option<&'a SharedFleet>,
    order: &'a Order,
    attempt: AttemptId,
    /// Commands wait here for the broker, so that nothing else does.
    mouth: mpsc::UnboundedSender<Command>,
    began: Instant,
    started: Timestamp,
    state: State,
    deadline: Instant,
    ready: Option<Ready>,
    exchanges: Vec<Exchange>,
    load: Option<RunningLoad>,
    outcome: Option<Outcome>,
    loaders: Vec<LoaderRecord>,
    truth: Option<TruthRecord>,
    batches: Batches,
}

impl<'a> Drive<'a> {
    fn new(link: &'a mut Link, fleet: Option<&'a SharedFleet>, order: &'a Order) -> Self {
        let attempt = order.attempt;
        let (mouth, commands) = mpsc::unbounded_channel();
        tokio::spawn(speak(link.commands(), link.host().clone(), attempt, commands));
        Self {
            link,
            fleet,
            order,
            attempt,
            mouth,
            began: Instant::now(),
            started: Timestamp::now(),
            state: State::Asked,
            deadline: Instant::now() + order.deadlines.answer,
            ready: None,
            exchanges: Vec::new(),
            load: None,
            outcome: None,
            loaders: Vec::new(),
            truth: None,
            batches: Batches::default(),
        }
    }

    async fn run(
        mut self,
        cancel: &CancellationToken,
        watch: &mut (dyn FnMut(Tick) + Send),
    ) -> Result<Driven, BusError> {
        self.say(Command::Run(Box::new(self.order.run.clone())));
        let mut resend = every(RESEND_EVERY);
        let mut renew = every(self.order.deadlines.renew);
        let mut look = every(WATCH_EVERY);
        let mut cancelled = false;
        while let Some(phase) = self.state.phase() {
            tokio::select! {
                event = self.link.next() => self.hear(event?).await,
                over = over(&mut self.load) => self.load_over(over).await,
                () = sleep_until(self.deadline.into()) => self.feed(Input::Late).await,
                () = cancel.cancelled(), if !cancelled => {
                    cancelled = true;
                    self.feed(Input::Cancel).await;
                }
                _ = resend.tick() => self.feed(Input::Resend).await,
                _ = renew.tick() => self.renew(),
                _ = look.tick() => self.tell(watch),
            }
            if let Some(next) = self.state.phase().filter(|&next| next != phase) {
                watch(Tick::Phase(next));
            }
        }
        self.finish(cancelled).await
    }

    /// An event of this attempt becomes an input; one of another attempt is an old story.
    async fn hear(&mut self, event: Envelope<Event>) {
        if event.attempt != Some(self.attempt) {
            debug!(event = event.body.as_str(), "of another attempt");
            return;
        }
        match event.body {
            Event::Samples(samples) => self.batches.take(samples),
            Event::Accepted(_) => self.feed(Input::Accepted).await,
            Event::Refused(refused) => self.feed(Input::Refused(refused)).await,
            Event::Ready(ready) => {
                self.ready.get_or_insert_with(|| ready.clone());
                self.feed(Input::Ready(ready)).await;
            }
            Event::Summary(summary) => self.feed(Input::Summary(summary)).await,
            Event::Failed(failed) => self.feed(Input::Failed(failed)).await,
            Event::Facts(_)
            | Event::Pong(_)
            | Event::Loader(_)
            | Event::Prepared(_)
            | Event::Progress(_)
            | Event::Chunk(_)
            | Event::Fired(_) => {}
        }
    }

    async fn load_over(&mut self, over: Result<Measured, String>) {
        let input = match over {
            Ok(Measured {
                outcome,
                loaders,
                truth,
            }) => {
                (self.outcome, self.loaders, self.truth) = (Some(outcome), loaders, truth);
                // Only so good as the clocks: a second look at them tells how far they drifted.
                self.exchange()
                    .await
                    .map_or_else(Input::LoadBroken, |()| Input::LoadOver)
            }
            Err(why) => {
                // Nothing more comes of it, and nobody may wait for that.
                self.load = None;
                Input::LoadBroken(why)
            }
        };
        self.feed(input).await;
    }

    /// One step of the machine, and one more where an action fails.
    async fn feed(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let before = self.state.phase();
            match self.state.on(input) {
                Ok((state, actions)) => {
                    self.state = state;
                    if self.state.phase() != before {
                        self.deadline = Instant::now() + self.limit();
                    }
                    for action in actions {
                        next = self.act(action).await.err().map(Input::LoadBroken);
                    }
                }
                Err(illegal) => warn!(%illegal, attempt = %self.attempt, "ignored"),
            }
        }
    }

    async fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::SendRun => self.say(Command::Run(Box::new(self.order.run.clone()))),
            Action::SendStop(reason) => self.say(Command::Stop(Stop { reason })),
            Action::AbortLoad => self.load.iter().for_each(RunningLoad::abort),
            Action::StartLoad(ready) => {
                let front = &self.order.front;
                let endpoint =
                    Order::endpoint(&ready, front).ok_or_else(|| format!("READY names no endpoint of {front}"))?;
                let fleet = self.fleet.filter(|_| self.order.is_split());
                if fleet.is_none() {
                    loader::check_reachable(self.order.probe(), endpoint).await?;
                }
                self.exchange().await?;
                self.load = Some(RunningLoad::fire(
                    self.order,
                    &ready,
                    endpoint,
                    (fleet, self.mouth.clone()),
                ));
            }
        }
        Ok(())
    }

    async fn exchange(&mut self) -> Result<(), String> {
        for _ in 0..EXCHANGES {
            let exchange = self
                .link
                .ping(EXCHANGE_WITHIN)
                .await
                .map_err(|error| error.to_string())?;
            self.exchanges.push(exchange);
        }
        Ok(())
    }

    fn limit(&self) -> Duration {
        let limits = &self.order.deadlines;
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
            self.say(Command::Renew(Renew {}));
        }
    }

    fn say(&self, command: Command) {
        // The task at the other end outlives this struct; were it gone, the deadline would tell.
        drop(self.mouth.send(command));
    }

    fn tell(&self, watch: &mut (dyn FnMut(Tick) + Send)) {
        if let Some(load) = &self.load {
            watch(Tick::Load(load.progress()));
        }
    }

    async fn finish(mut self, cancelled: bool) -> Result<Driven, BusError> {
        self.await_samples().await?;
        if self.outcome.is_none()
            && let Some(load) = &mut self.load
        {
            load.abort();
            if let Ok(Measured { outcome, loaders, .. }) = load.over().await {
                (self.outcome, self.loaders) = (Some(outcome), loaders);
            }
        }
        let end = match self.state {
            State::Ended(end) => *end,
            unfinished => End::Silent(unfinished.phase().unwrap_or(Phase::Stop)),
        };
        Ok(Driven {
            began: self.began,
            started: self.started,
            ended: Timestamp::now(),
            front: self.order.front.clone(),
            ready: self.ready,
            clock: RunnerClock::estimate(&self.exchanges),
            exchanges: u32::try_from(self.exchanges.len()).unwrap_or(u32::MAX),
            outcome: self.outcome,
            loaders: self.loaders,
            truth: self.truth,
            batches: self.batches,
            end,
            cancelled,
        })
    }

    /// SAMPLES travel on a topic of their own and may come after the SUMMARY that counts them.
    async fn await_samples(&mut self) -> Result<(), BusError> {
        let State::Ended(end) = &self.state else { return Ok(()) };
        let End::Summed(_, summary) = end.as_ref() else {
            return Ok(());
        };
        let sent = summary.batches;
        let deadline = tokio::time::Instant::now() + SAMPLES_WITHIN;
        while !self.batches.complete(sent) {
            let Ok(event) = tokio::time::timeout_at(deadline, self.link.next()).await else {
                break;
            };
            let event = event?;
            if let (Event::Samples(samples), true) = (event.body, event.attempt == Some(self.attempt)) {
                self.batches.take(samples);
            }
        }
        Ok(())
    }
}

/// Sends commands in order, each as long as the broker takes.
async fn speak(
    commands: CommandSender,
    host: protocol::Name,
    attempt: AttemptId,
    mut waiting: mpsc::UnboundedReceiver<Command>,
) {
    while let Some(command) = waiting.recv().await {
        if let Err(error) = commands.send(&host, Some(attempt), command).await {
            warn!(%error, "a command was lost");
        }
    }
}

/// Waits for the end of a load; for ever where there is none.
async fn over(load: &mut Option<RunningLoad>) -> Result<Measured, String> {
    match load {
        Some(load) => load.over().await,
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
