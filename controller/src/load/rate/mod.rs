//! The open-loop engine: a fixed number of requests a second, whatever the replies do.
//!
//! Each thread has its own event loop, connections, share of the schedule (every n-th arrival) and
//! [`Tally`]; nothing is shared while the load runs but the flag that cancels it. On the way of a
//! request nothing is allocated: the request's bytes are the same for all, replies are checked where
//! they were read, and logs and tables have their size beforehand.

mod connection;
mod gate;
mod late;
mod prepare;
mod table;
mod worker;

use std::ops::Range;
use std::thread::{Builder, ScopedJoinHandle, scope};
use std::time::Duration;

use super::Engine;
use super::control::Control;
use super::error::LoadError;
use super::limits;
use super::outcome::{Origin, Outcome};
use super::plan::RatePlan;
use super::tally::Tally;
use super::target::Target;
use gate::Gate;

/// Time between the moment all threads are ready and the start of the run.
const HEAD_START: Duration = Duration::from_millis(2);

/// The engine `rate`.
#[derive(Debug, Clone)]
pub struct Rate {
    plan: RatePlan,
}

/// What all threads of a run see.
#[derive(Debug)]
struct Shared<'a> {
    plan: &'a RatePlan,
    target: &'a Target,
    /// The bytes of every request.
    request: &'a [u8],
    control: &'a Control,
    gate: &'a Gate,
    window: Range<u64>,
}

impl Rate {
    /// An engine for a plan that makes sense.
    pub fn new(plan: RatePlan) -> Result<Self, LoadError> {
        plan.check()?;
        Ok(Self { plan })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &RatePlan {
        &self.plan
    }

    fn window(&self) -> Range<u64> {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2);
        let start = nanos(self.plan.warm_up);
        start..start + nanos(self.plan.duration)
    }
}

impl Engine for Rate {
    fn run(&self, target: &Target, control: &Control) -> Result<Outcome, LoadError> {
        limits::check(&self.plan)?;
        let request = target.request(self.plan.keeps_alive())?;
        let gate = Gate::default();
        let window = self.window();
        let shared = Shared {
            plan: &self.plan,
            target,
            request: &request,
            control,
            gate: &gate,
            window: window.clone(),
        };
        let (origin, tallies) = run_threads(&shared)?;
        let mut whole = Tally::new(window.clone(), 0);
        tallies.into_iter().for_each(|tally| whole.add(tally));
        Ok(Outcome::new(
            whole,
            origin,
            window,
            self.plan.threads(),
            control.is_cancelled(),
        ))
    }
}

/// Starts the threads, lets them go together once all are ready, and waits for their end.
fn run_threads(shared: &Shared<'_>) -> Result<(Origin, Vec<Tally>), LoadError> {
    scope(|scope| {
        let threads: Vec<_> = (0..shared.plan.threads())
            .map(|thread| {
                Builder::new()
                    .name(format!("load-{thread}"))
                    .spawn_scoped(scope, move || worker::run(thread, shared))
                    .map_err(|source| LoadError::System {
                        what: "start a thread",
                        source,
                    })
            })
            .collect();
        let started = threads.iter().filter(|thread| thread.is_ok()).count();
        let origin = shared
            .gate
            .open(started, started == threads.len(), || Origin::after(HEAD_START));
        let tallies = threads
            .into_iter()
            .map(|thread| thread.and_then(join))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((
            origin.ok_or(LoadError::Panicked)?,
            tallies.into_iter().flatten().collect(),
        ))
    })
}

/// The tally of a thread; `None` if it never ran because another one could not.
fn join(thread: ScopedJoinHandle<'_, Result<Option<Tally>, LoadError>>) -> Result<Option<Tally>, LoadError> {
    thread.join().unwrap_or(Err(LoadError::Panicked))
}
