//! The loaders of an experiment. They generate a load together; if one fails, the attempt fails.
//!
//! * [`remote_loader`] — one loader; [`assembler`] — its result.
//!
//! They start at one instant of this machine's clock, some time ahead, which is sent to each loader in terms of its own clock. The skew is
//! estimated again from the exchanges after the load and stored with the results. If a loader is lost, silent or late, the others are stopped:
//! what they measured is not the requested load.

pub mod assembler;
pub mod remote_loader;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use protocol::Command;
use protocol::command::{Renew, Stop, StopReason};
use protocol::ids::AttemptId;
use protocol::load::{MachineFacts, PartSpec, Prepare};
use tokio::sync::{Mutex, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::assembler::LoaderResult;
use self::remote_loader::RemoteLoader;
use crate::peer::clock::PeerClock;
use crate::peer::link::{Link, LinkError};
use analysis::store::{Distribution, GeneratorRecord, LoaderRecord, RequestCounts};
use loader::jung::AcceptedCommands;
use loader::{Control, Outcome, merge};

/// The loaders of an experiment, in the file's order.
#[derive(Debug)]
pub struct Fleet {
    loaders: Vec<RemoteLoader>,
}

/// A fleet shared between the task of a load and the campaign.
pub type SharedFleet = Arc<Mutex<Fleet>>;

/// A load for all loaders.
#[derive(Clone, Debug)]
pub struct FleetLoad {
    /// The attempt.
    pub attempt: AttemptId,
    /// The load; the part is filled in for each loader.
    pub prepare: Prepare,
    /// Timeout of the preparation.
    pub prepare_timeout: Duration,
    /// Interval between two RENEWs. A loader that is silent for the lease of `prepare` is lost.
    pub renew: Duration,
    /// Receives the accepted commands.
    pub accepted: AcceptedCommands,
}

/// The outcome of the whole load, and the part of each loader.
pub type FleetOutcome = (Outcome, Vec<LoaderRecord>);

/// Minimum time from START to the common start.
const MIN_LEAD: Duration = Duration::from_millis(500);

/// The same, in round trips to the slowest loader.
const LEAD_ROUND_TRIPS: u32 = 20;

impl Fleet {
    /// The loaders reached over these links.
    #[must_use]
    pub fn new(links: Vec<Arc<Link>>) -> Self {
        let loader = |link| RemoteLoader {
            link,
            exchanges: Vec::new(),
        };
        Self {
            loaders: links.into_iter().map(loader).collect(),
        }
    }

    /// Requests the host facts of every loader.
    ///
    /// # Errors
    /// The first loader that does not answer in time, or a peer that is not a loader.
    pub async fn describe(&self, within: Duration) -> Result<Vec<MachineFacts>, LinkError> {
        try_join_all(self.loaders.iter().map(|loader| loader.link.describe_loader(within))).await
    }

    /// Generates a load with all loaders and merges their results; `began` receives the instant of the common start. Meanwhile renews their leases.
    ///
    /// # Errors
    /// The loader that failed, and why, or that the load was cancelled; the others are stopped.
    pub async fn run(
        &mut self,
        load: &FleetLoad,
        control: &Control,
        cancelled: &CancellationToken,
        began: oneshot::Sender<Instant>,
    ) -> Result<FleetOutcome, String> {
        let links: Vec<_> = self.loaders.iter().map(|loader| Arc::clone(&loader.link)).collect();
        let send_all = |command: Command| links.iter().for_each(|link| link.send(load.attempt, command.clone()));
        let mut renew = interval(load.renew);
        renew.reset();
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut outcome = std::pin::pin!(self.try_run(load, control, began));
        let (why, reason) = loop {
            tokio::select! {
                () = cancelled.cancelled() => break ("the load was cancelled".to_owned(), StopReason::Cancelled),
                outcome = &mut outcome => match outcome {
                    Err(why) => break (why, StopReason::LoadFailed),
                    outcome => return outcome,
                },
                _ = renew.tick() => send_all(Command::Renew(Renew {})),
            }
        };
        // A loader that cannot be reached ends when its lease expires.
        send_all(Command::Stop(Stop { reason }));
        Err(why)
    }

    async fn try_run(
        &mut self,
        load: &FleetLoad,
        control: &Control,
        began: oneshot::Sender<Instant>,
    ) -> Result<FleetOutcome, String> {
        let attempt = load.attempt;
        let prepares = parts(load, self.loaders.len());
        let loaders = self.loaders.iter_mut().zip(prepares);
        try_join_all(loaders.map(|(loader, prepare)| loader.prepare(attempt, prepare, load.prepare_timeout))).await?;
        let start = Instant::now() + self.lead()?;
        self.loaders
            .iter()
            .try_for_each(|loader| loader.start(attempt, start))?;
        // The receiver may be gone.
        let _ = began.send(start);
        let silence = Duration::from_millis(load.prepare.lease_ms);
        let loaders = self.loaders.iter_mut().enumerate();
        let results = loaders.map(|(index, loader)| loader.collect(attempt, (control, index), silence));
        let results = try_join_all(results).await?;
        self.combine(results, start, load)
    }

    /// The time between START and the common start.
    fn lead(&self) -> Result<Duration, String> {
        let clocks = self.loaders.iter().map(RemoteLoader::clock);
        let clocks: Vec<PeerClock> = clocks.collect::<Result<_, _>>()?;
        let slowest = clocks.iter().map(PeerClock::error_ns).max().unwrap_or(0);
        Ok(MIN_LEAD.max(Duration::from_nanos(slowest.saturating_mul(2)) * LEAD_ROUND_TRIPS))
    }

    fn combine(&self, results: Vec<LoaderResult>, start: Instant, load: &FleetLoad) -> Result<FleetOutcome, String> {
        let mut records = Vec::new();
        let mut outcomes = Vec::new();
        for (loader, result) in self.loaders.iter().zip(results) {
            records.push(record(loader, &result, start)?);
            load.accepted.add_all(result.accepted);
            outcomes.push(result.outcome);
        }
        let outcome = merge(outcomes, start).ok_or("there are no loaders")?;
        Ok((outcome, records))
    }
}

/// PREPARE for each loader.
fn parts(load: &FleetLoad, loaders: usize) -> Vec<Prepare> {
    let of = u32::try_from(loaders).unwrap_or(u32::MAX);
    let part = |index| Prepare {
        part: PartSpec { index, of },
        ..load.prepare.clone()
    };
    (0..of).map(part).collect()
}

fn record(loader: &RemoteLoader, result: &LoaderResult, start: Instant) -> Result<LoaderRecord, String> {
    let clock = loader.clock()?;
    let outcome = &result.outcome;
    Ok(LoaderRecord {
        host: loader.link.host().clone(),
        requests: RequestCounts::of(&outcome.counts, &outcome.warm_up),
        response: Distribution::of(&outcome.histograms.response),
        lag: Distribution::of(&outcome.histograms.lag),
        generator: GeneratorRecord::of(outcome),
        // The difference between the actual and the requested reading of its clock at the start.
        skew_ns: result.start_clock_ns.wrapping_sub(clock.at(start)).cast_signed(),
        clock_error_ns: clock.error_ns(),
        exchanges: u32::try_from(loader.exchanges.len()).unwrap_or(u32::MAX),
    })
}
