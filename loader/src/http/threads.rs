//! The threads of a load: prepared one by one, let go together, waited for.

use std::ops::Range;
use std::thread::{Builder, ScopedJoinHandle, scope};
use std::time::Duration;

use super::Pace;
use super::gate::Gate;
use super::turn::Turn;
use super::wire::Wire;
use crate::call::Label;
use crate::clock::Clock;
use crate::control::Control;
use crate::cpu;
use crate::error::LoadError;
use crate::limits;
use crate::log::{LogWriter, Spill};
use crate::outcome::{Origin, Outcome};
use crate::tally::Tally;
use protocol::load::Wait;

pub use super::turn::window;
pub use super::wire::share;

/// Time between the moment all threads are ready and the start of the run.
const HEAD_START: Duration = Duration::from_millis(2);

/// What the threads of a load need to know, whatever its pace.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Cores to pin to, one thread each; empty: one thread that is not pinned.
    pub cpus: Vec<usize>,
    /// A request is given up so long after it was due.
    pub timeout: Duration,
    /// How long before a request is due its thread stops sleeping and watches the clock, at first.
    pub spin: Duration,
    /// Whether threads that sleep are scheduled in real time, where that is allowed.
    pub real_time: bool,
    /// Whether threads sleep at all.
    pub wait: Wait,
    /// Whether connections serve more than one request.
    pub keeps_alive: bool,
    /// Connections open at once at most, over all threads.
    pub most_connections: u64,
    /// The measured window, ns from the start; an end of `u64::MAX` is the end of the last request.
    pub window: Range<u64>,
    /// What the requests are.
    pub labels: Vec<Label>,
}

/// What a thread brings back.
type Gathered = (Tally, LogWriter);

impl Setup {
    /// Threads to run.
    pub fn threads(&self) -> usize {
        self.cpus.len().max(1)
    }

    /// Runs a load whose paces are made by `pace`, one a thread, before the start.
    ///
    /// # Errors
    /// What this machine cannot give, and what the kernel refuses.
    pub fn run<'a, P: Pace<'a>>(
        &self,
        control: &'a Control,
        pace: impl Fn(usize, &mut Wire<'a>) -> P + Sync,
    ) -> Result<Outcome, LoadError> {
        limits::check(self.most_connections)?;
        let (spill, logs) = Spill::start(control.scratch(), self.threads())?;
        let (origin, threads) = run_threads(self, control, logs, &pace)?;
        let (tallies, logs): (Vec<_>, Vec<_>) = threads.into_iter().unzip();
        let mut tally = Tally::new(self.window.clone());
        tallies.into_iter().for_each(|other| tally.add(other));
        Ok(Outcome {
            labels: self.labels.clone(),
            threads: self.threads(),
            cancelled: control.is_cancelled(),
            ..Outcome::of(tally, origin, spill.finish(logs)?)
        })
    }
}

/// Starts the threads, lets them go together once all are ready, and waits for their end.
fn run_threads<'a, P: Pace<'a>>(
    setup: &Setup,
    control: &'a Control,
    logs: Vec<LogWriter>,
    pace: &(impl Fn(usize, &mut Wire<'a>) -> P + Sync),
) -> Result<(Origin, Vec<Gathered>), LoadError> {
    let gate = Gate::default();
    let gate = &gate;
    scope(|scope| {
        let threads: Vec<_> = logs
            .into_iter()
            .enumerate()
            .map(|(thread, log)| {
                Builder::new()
                    .name(format!("load-{thread}"))
                    .spawn_scoped(scope, move || one((thread, log), setup, control, gate, pace))
                    .map_err(|source| LoadError::System {
                        what: "start a thread",
                        source,
                    })
            })
            .collect();
        let started = threads.iter().filter(|thread| thread.is_ok()).count();
        let origin = gate.open(started, started == threads.len(), || control.origin(HEAD_START));
        let gathered = threads
            .into_iter()
            .map(|thread| thread.and_then(join))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((
            origin.ok_or(LoadError::Panicked)?,
            gathered.into_iter().flatten().collect(),
        ))
    })
}

/// Runs one thread from its preparation to its end; `None` if the run did not start.
fn one<'a, P: Pace<'a>>(
    thread: (usize, LogWriter),
    setup: &Setup,
    control: &'a Control,
    gate: &Gate,
    pace: &impl Fn(usize, &mut Wire<'a>) -> P,
) -> Result<Option<Gathered>, LoadError> {
    let prepared = prepare(thread, setup, control, pace);
    let origin = gate.arrive(prepared.is_ok());
    let turn = prepared?;
    origin
        .map(|origin| turn.run(Clock::from_origin(origin.monotonic_ns)))
        .transpose()
}

fn prepare<'a, P: Pace<'a>>(
    (thread, log): (usize, LogWriter),
    setup: &Setup,
    control: &'a Control,
    pace: &impl Fn(usize, &mut Wire<'a>) -> P,
) -> Result<Turn<'a, P>, LoadError> {
    if let Some(cpu) = setup.cpus.get(thread) {
        cpu::pin(*cpu)?;
    }
    let mut wire = Wire::open(thread, setup, log)?;
    let pace = pace(thread, &mut wire);
    Ok(Turn::new(wire, pace, setup, control))
}

/// What a thread brings back; `None` if it never ran because another one could not.
fn join(thread: ScopedJoinHandle<'_, Result<Option<Gathered>, LoadError>>) -> Result<Option<Gathered>, LoadError> {
    thread.join().unwrap_or(Err(LoadError::Panicked))
}
