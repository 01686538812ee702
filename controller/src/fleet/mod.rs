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

use futures_util::future::{join_all, try_join_all};
use protocol::Command;
use protocol::command::{Renew, StopReason};
use protocol::ids::AttemptId;
use protocol::load::{MachineFacts, PartSpec, Prepare};
use tokio::sync::{Mutex, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

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

/// The combined result of all loaders.
#[derive(Debug)]
pub struct FleetOutcome {
    /// The outcome of the whole load.
    pub outcome: Outcome,
    /// The part of each loader.
    pub loaders: Vec<LoaderRecord>,
}

/// Minimum time from START to the common start.
const MIN_LEAD: Duration = Duration::from_millis(500);

/// The same, in round trips to the slowest loader.
const LEAD_ROUND_TRIPS: u32 = 20;

/// How long a second reply to DESCRIBE is waited for.
const DUPLICATE_TIMEOUT: Duration = Duration::from_millis(200);

impl Fleet {
    /// The loaders reached over these links.
    #[must_use]
    pub fn new(links: Vec<Link>) -> Self {
        Self {
            loaders: links.into_iter().map(RemoteLoader::new).collect(),
        }
    }

    /// Requests the host facts of every loader.
    ///
    /// # Errors
    /// The first loader that does not answer in time, or a peer that is not a loader.
    pub async fn describe(&mut self, within: Duration) -> Result<Vec<MachineFacts>, LinkError> {
        try_join_all(self.loaders.iter_mut().map(|loader| async move {
            let facts = loader.link().describe_loader(within).await?;
            loader.link().reject_duplicates(DUPLICATE_TIMEOUT).await?;
            Ok(facts)
        }))
        .await
    }

    /// Generates a load with all loaders and merges their results; `began` receives the instant of the common start.
    ///
    /// # Errors
    /// The loader that failed, and why; the others are stopped.
    pub async fn run(
        &mut self,
        load: &FleetLoad,
        control: &Control,
        began: oneshot::Sender<Instant>,
    ) -> Result<FleetOutcome, String> {
        let renewal = LeaseRenewal::start(self, load);
        let outcome = tokio::select! {
            outcome = self.try_run(load, control, began) => outcome,
            () = cancelled(control) => Err("the load was cancelled".to_owned()),
        };
        drop(renewal);
        if outcome.is_err() {
            let reason = if control.is_cancelled() {
                StopReason::Cancelled
            } else {
                StopReason::LoadFailed
            };
            let stops = self.loaders.iter().map(|loader| loader.stop(load.attempt, reason));
            // A loader that cannot be reached ends when its lease expires.
            join_all(stops).await;
        }
        outcome
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
        try_join_all(self.loaders.iter_mut().map(|loader| loader.start(attempt, start))).await?;
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
        Ok(FleetOutcome {
            outcome,
            loaders: records,
        })
    }
}

/// Waits until a load is cancelled.
async fn cancelled(control: &Control) {
    while !control.is_cancelled() {
        tokio::time::sleep(CANCEL_POLL).await;
    }
}

/// Interval between two checks for cancellation.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// Renews the leases of all loaders until it is dropped.
struct LeaseRenewal(tokio::task::JoinHandle<()>);

impl LeaseRenewal {
    fn start(fleet: &Fleet, load: &FleetLoad) -> Self {
        let (attempt, mut tick) = (load.attempt, interval(load.renew));
        tick.reset();
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let senders: Vec<_> = fleet.loaders.iter().map(RemoteLoader::sender).collect();
        Self(tokio::spawn(async move {
            loop {
                tick.tick().await;
                for (host, commands) in &senders {
                    if let Err(error) = commands.send(host, Some(attempt), Command::Renew(Renew {})).await {
                        warn!(%error, "RENEW was not sent");
                    }
                }
            }
        }))
    }
}

impl Drop for LeaseRenewal {
    fn drop(&mut self) {
        self.0.abort();
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
        host: loader.host().clone(),
        requests: RequestCounts::of(&outcome.counts, &outcome.warm_up),
        response: Distribution::of(&outcome.histograms.response),
        lag: Distribution::of(&outcome.histograms.lag),
        generator: GeneratorRecord::of(outcome),
        // The difference between the actual and the requested reading of its clock at the start.
        skew_ns: result.start_clock_ns.wrapping_sub(clock.at(start)).cast_signed(),
        clock_error_ns: clock.error_ns(),
        exchanges: loader.exchanges(),
    })
}
