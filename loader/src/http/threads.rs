//! The threads of a load: prepared individually, started together, joined.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, ScopedJoinHandle, scope};
use std::time::Duration;

use protocol::load::Wait;

use super::event_loop::EventLoop;
use super::pacer::Pacer;
use super::transport::HttpTransport;
use crate::call::Label;
use crate::clock::Clock;
use crate::control::Control;
use crate::cpu;
use crate::error::LoadError;
use crate::limits;
use crate::log::{LogWriter, Spill};
use crate::outcome::{Origin, Outcome};
use crate::tally::Tally;
use crate::tls::Tls;

/// Time from the point at which all threads are ready to the start of the run.
const HEAD_START: Duration = Duration::from_millis(2);

/// The settings of the threads of a load, independent of its pacer.
#[derive(Debug, Clone)]
pub struct Setup {
    /// CPUs to pin to, one thread each; empty: one thread, not pinned.
    pub cpus: Vec<usize>,
    /// Time-out of a request from its scheduled time.
    pub timeout: Duration,
    /// Initial lead time with which a thread wakes and busy-polls before a request is due.
    pub spin: Duration,
    /// Whether sleeping threads use real-time scheduling, if permitted.
    pub real_time: bool,
    /// Whether threads sleep.
    pub wait: Wait,
    /// Whether connections carry more than one request.
    pub keeps_alive: bool,
    /// Maximum number of open connections over all threads.
    pub max_connections: u64,
    /// The measurement window, ns from the start; an end of `u64::MAX`: until the last request completes.
    pub window: Range<u64>,
    /// Labels of the requests.
    pub labels: Vec<Label>,
    /// How connections are encrypted, if they are.
    pub tls: Option<Tls>,
    /// Whether requests are made from templates.
    pub templates: bool,
}

/// The results of a thread.
type ThreadResult = (Tally, LogWriter);

impl Setup {
    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.cpus.len().max(1)
    }

    /// Runs a load; `pacer` creates the pacer of each thread before the start.
    ///
    /// # Errors
    /// Limits of this machine that the load could exceed, and system errors.
    pub fn run<'a, P: Pacer<'a>>(
        &self,
        control: &'a Control,
        pacer: impl Fn(usize, &mut HttpTransport<'a>) -> P + Sync,
    ) -> Result<Outcome, LoadError> {
        limits::check(self.max_connections)?;
        let (spill, logs) = Spill::start(control.scratch(), self.threads())?;
        let (origin, threads) = run_threads(self, control, logs, &pacer)?;
        let (tallies, logs): (Vec<_>, Vec<_>) = threads.into_iter().unzip();
        let mut tally = Tally::new(self.window.clone());
        tallies.into_iter().for_each(|other| tally.add(other));
        Ok(Outcome {
            labels: self.labels.clone(),
            threads: self.threads(),
            cancelled: control.is_cancelled(),
            tls: self.tls.as_ref().map(|_| std::mem::take(&mut tally.tls)),
            ..Outcome::of(tally, origin, spill.finish(logs)?)
        })
    }
}

/// Starts the threads, releases them together when all are ready, and joins them.
fn run_threads<'a, P: Pacer<'a>>(
    setup: &Setup,
    control: &'a Control,
    logs: Vec<LogWriter>,
    pacer: &(impl Fn(usize, &mut HttpTransport<'a>) -> P + Sync),
) -> Result<(Origin, Vec<ThreadResult>), LoadError> {
    let gate = StartGate::default();
    let gate = &gate;
    scope(|scope| {
        let threads: Vec<_> = logs
            .into_iter()
            .enumerate()
            .map(|(thread, log)| {
                Builder::new()
                    .name(format!("load-{thread}"))
                    .spawn_scoped(scope, move || run_thread((thread, log), setup, control, gate, pacer))
                    .map_err(|source| LoadError::System {
                        what: "start a thread",
                        source,
                    })
            })
            .collect();
        let started = threads.iter().filter(|thread| thread.is_ok()).count();
        let origin = gate.open(started, started == threads.len(), || control.origin(HEAD_START));
        let results = threads
            .into_iter()
            .map(|thread| thread.and_then(join))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((
            origin.ok_or(LoadError::Panicked)?,
            results.into_iter().flatten().collect(),
        ))
    })
}

/// Prepares and runs one thread; `None`: the run was not started.
fn run_thread<'a, P: Pacer<'a>>(
    thread: (usize, LogWriter),
    setup: &Setup,
    control: &'a Control,
    gate: &StartGate,
    pacer: &impl Fn(usize, &mut HttpTransport<'a>) -> P,
) -> Result<Option<ThreadResult>, LoadError> {
    let prepared = prepare(thread, setup, control, pacer);
    let origin = gate.arrive(prepared.is_ok());
    let event_loop = prepared?;
    origin
        .map(|origin| event_loop.run(Clock::from_origin(origin.monotonic_ns)))
        .transpose()
}

fn prepare<'a, P: Pacer<'a>>(
    (thread, log): (usize, LogWriter),
    setup: &Setup,
    control: &'a Control,
    pacer: &impl Fn(usize, &mut HttpTransport<'a>) -> P,
) -> Result<EventLoop<'a, P>, LoadError> {
    if let Some(cpu) = setup.cpus.get(thread) {
        cpu::pin(*cpu)?;
    }
    let mut transport = HttpTransport::open(thread, setup, log)?;
    let pacer = pacer(thread, &mut transport);
    Ok(EventLoop::new(transport, pacer, setup, control))
}

fn join(
    thread: ScopedJoinHandle<'_, Result<Option<ThreadResult>, LoadError>>,
) -> Result<Option<ThreadResult>, LoadError> {
    thread.join().unwrap_or(Err(LoadError::Panicked))
}

/// The share of a total for one of several threads.
pub fn share(total: u64, thread: usize, threads: usize) -> usize {
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    total / threads + usize::from(thread < total % threads)
}

/// A gate at which the threads of a run wait for the common start.
#[derive(Debug, Default)]
pub struct StartGate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    arrived: usize,
    failed: bool,
    /// `Some(None)`: the run does not start.
    start: Option<Option<Origin>>,
}

impl StartGate {
    /// Called by a thread that is ready or has failed; waits for the start. `None`: the run does not start, since a thread has failed.
    pub fn arrive(&self, ready: bool) -> Option<Origin> {
        let mut state = self.lock();
        state.arrived += 1;
        state.failed |= !ready;
        self.changed.notify_all();
        loop {
            if let Some(start) = state.start {
                return start;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until `threads` have arrived, then releases them, with a start time if `all_started` and all are ready.
    pub fn open(&self, threads: usize, all_started: bool, start: impl FnOnce() -> Origin) -> Option<Origin> {
        let mut state = self.lock();
        while state.arrived < threads {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let start = (all_started && !state.failed).then(start);
        state.start = Some(start);
        self.changed.notify_all();
        start
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
