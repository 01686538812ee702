//! All loaders of an experiment, as the controller sees them: they fire together, or the attempt is void.
//!
//! * [`member`] — the conversation with one; [`gather`] — what it brings.
//!
//! The instant at which they begin is one of this machine's clock, some time ahead, told to each on its own clock. How far that was off is
//! estimated again from the exchanges after the load and kept with the results. One that is lost, silent or late ends the attempt, and the others
//! with it: what the rest measured is another load than the one that was ordered.

pub mod gather;
pub mod member;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use protocol::Command;
use protocol::command::{Renew, StopReason};
use protocol::ids::{AttemptId, Name};
use protocol::load::{MachineFacts, PartSpec, Prepare};
use tokio::sync::{Mutex, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use self::gather::Brought;
use self::member::Member;
use crate::conduct::clock::RunnerClock;
use crate::conduct::link::{Link, LinkError};
use analysis::store::{Distribution, GeneratorRecord, LoaderRecord, RequestCounts};
use loader::jung::AcceptedCommands;
use loader::{Control, Outcome, merge};

/// The loaders of an experiment, in the file's order.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
}

/// The same, for the task of a load and for those who come between loads.
pub type SharedFleet = Arc<Mutex<Fleet>>;

/// What is asked of all loaders together.
#[derive(Clone, Debug)]
pub struct FleetOrder {
    /// The attempt.
    pub attempt: AttemptId,
    /// The load; its part is filled in for each.
    pub prepare: Prepare,
    /// How long each may take to be ready.
    pub ready_within: Duration,
    /// The distance of two RENEWs. A loader that is silent for the lease of `prepare` is lost.
    pub renew: Duration,
    /// Where accepted commands go.
    pub accepted: AcceptedCommands,
}

/// What all loaders brought together.
#[derive(Debug)]
pub struct Together {
    /// The outcome of the whole load.
    pub outcome: Outcome,
    /// What each did.
    pub loaders: Vec<LoaderRecord>,
}

/// The least time from START to the instant at which all begin.
const LEAD: Duration = Duration::from_millis(500);

/// The same in round trips of the slowest.
const LEAD_ROUND_TRIPS: u32 = 20;

/// How long a second answer to DESCRIBE is waited for.
const TWIN_WITHIN: Duration = Duration::from_millis(200);

impl Fleet {
    /// Those at the other ends of these links.
    #[must_use]
    pub fn new(links: Vec<Link>) -> Self {
        Self {
            members: links.into_iter().map(Member::new).collect(),
        }
    }

    /// Their names.
    pub fn hosts(&self) -> impl Iterator<Item = &Name> {
        self.members.iter().map(Member::host)
    }

    /// Asks every loader what machine it is on.
    ///
    /// # Errors
    /// The first that does not answer in time, or is no loader.
    pub async fn muster(&mut self, within: Duration) -> Result<Vec<MachineFacts>, LinkError> {
        try_join_all(self.members.iter_mut().map(|member| async move {
            let facts = member.link().describe_loader(within).await?;
            member.link().only_one(TWIN_WITHIN).await?;
            Ok(facts)
        }))
        .await
    }

    /// Fires a load with all loaders, and merges what they bring; `began` learns the instant at which they begin.
    ///
    /// # Errors
    /// The loader that was lost, or late, or said no, and why; the others are stopped then.
    pub async fn fire(
        &mut self,
        order: &FleetOrder,
        control: &Control,
        began: oneshot::Sender<Instant>,
    ) -> Result<Together, String> {
        let renewing = Renewing::start(self, order);
        let fired = tokio::select! {
            fired = self.try_fire(order, control, began) => fired,
            () = cancelled(control) => Err("the load was cancelled".to_owned()),
        };
        drop(renewing);
        if fired.is_err() {
            let reason = if control.is_cancelled() {
                StopReason::Cancelled
            } else {
                StopReason::LoadFailed
            };
            let stops = self.members.iter().map(|member| member.stop(order.attempt, reason));
            // Whoever cannot be told hears nothing more and ends with the lease.
            join_all(stops).await;
        }
        fired
    }

    async fn try_fire(
        &mut self,
        order: &FleetOrder,
        control: &Control,
        began: oneshot::Sender<Instant>,
    ) -> Result<Together, String> {
        let attempt = order.attempt;
        let prepares = parts(order, self.members.len());
        let members = self.members.iter_mut().zip(prepares);
        try_join_all(members.map(|(member, prepare)| member.prepare(attempt, prepare, order.ready_within))).await?;
        let start = Instant::now() + self.lead()?;
        try_join_all(self.members.iter_mut().map(|member| member.start(attempt, start))).await?;
        // Whoever wants to know may have gone.
        let _ = began.send(start);
        let silence = Duration::from_millis(order.prepare.lease_ms);
        let members = self.members.iter_mut().enumerate();
        let collected = members.map(|(at, member)| member.collect(attempt, (control, at), silence));
        let brought = try_join_all(collected).await?;
        self.together(brought, start, order)
    }

    /// How long it may take until START has reached all.
    fn lead(&self) -> Result<Duration, String> {
        let clocks = self.members.iter().map(Member::clock);
        let clocks: Vec<RunnerClock> = clocks.collect::<Result<_, _>>()?;
        let slowest = clocks.iter().map(RunnerClock::error_ns).max().unwrap_or(0);
        Ok(LEAD.max(Duration::from_nanos(slowest.saturating_mul(2)) * LEAD_ROUND_TRIPS))
    }

    fn together(&self, brought: Vec<Brought>, start: Instant, order: &FleetOrder) -> Result<Together, String> {
        let mut loaders = Vec::new();
        let mut outcomes = Vec::new();
        for (member, brought) in self.members.iter().zip(brought) {
            loaders.push(record(member, &brought, start)?);
            order.accepted.add_all(brought.accepted);
            outcomes.push(brought.outcome);
        }
        let outcome = merge(outcomes, start).ok_or("there is no loader")?;
        Ok(Together { outcome, loaders })
    }
}

/// Waits until a load is to end.
async fn cancelled(control: &Control) {
    while !control.is_cancelled() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How often it is looked whether a load is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Tells all loaders that their controller lives, until it is dropped.
struct Renewing(tokio::task::JoinHandle<()>);

impl Renewing {
    fn start(fleet: &Fleet, order: &FleetOrder) -> Self {
        let (attempt, mut tick) = (order.attempt, interval(order.renew));
        tick.reset();
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let members: Vec<_> = fleet.members.iter().map(Member::speaker).collect();
        Self(tokio::spawn(async move {
            loop {
                tick.tick().await;
                for (host, commands) in &members {
                    if let Err(error) = commands.send(host, Some(attempt), Command::Renew(Renew {})).await {
                        warn!(%error, "a RENEW was lost");
                    }
                }
            }
        }))
    }
}

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// PREPARE for each of so many loaders.
fn parts(order: &FleetOrder, loaders: usize) -> Vec<Prepare> {
    let of = u32::try_from(loaders).unwrap_or(u32::MAX);
    let part = |index| Prepare {
        part: PartSpec { index, of },
        ..order.prepare.clone()
    };
    (0..of).map(part).collect()
}

fn record(member: &Member, brought: &Brought, start: Instant) -> Result<LoaderRecord, String> {
    let clock = member.clock()?;
    let outcome = &brought.outcome;
    Ok(LoaderRecord {
        host: member.host().clone(),
        requests: RequestCounts::of(&outcome.counts, &outcome.warm_up),
        response: Distribution::of(&outcome.histograms.response),
        lag: Distribution::of(&outcome.histograms.lag),
        generator: GeneratorRecord::of(outcome),
        // Its clock showed the latter when it was to show the former.
        skew_ns: brought.start_clock_ns.wrapping_sub(clock.at(start)).cast_signed(),
        clock_error_ns: clock.error_ns(),
        exchanges: member.exchanges(),
    })
}
