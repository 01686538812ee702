//! The load of one attempt: prepared, run, and its results sent.

use std::sync::Arc;
use std::time::Duration;

use protocol::bus::{BusError, EventSender, Reply};
use protocol::load::{Chunk, Prepare, Progress, Stream};
use protocol::spec::CpuSet;
use protocol::{AttemptId, Event};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tracing::warn;

use super::state::Report;
use crate::jung::AcceptedCommands;
use crate::request::BYTES;
use crate::wire::{self, Chunks};
use crate::{Barrier, Control, Engine, EngineSpec, LoadError, Outcome, Part, build_engine, check_target};

/// Interval at which the barrier is polled until the engine waits at it.
const READY_POLL: Duration = Duration::from_millis(20);

/// Interval of progress reports.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// Delay before a chunk is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// A running load; cancelled when dropped.
#[derive(Debug)]
pub struct Job {
    control: Arc<Control>,
    barrier: Arc<Barrier>,
    task: JoinHandle<()>,
}

/// What a job needs of the daemon.
#[derive(Debug)]
pub struct JobContext {
    /// The attempt.
    pub id: AttemptId,
    /// Addresses its chunks.
    pub reply: Reply,
    /// Receives its reports.
    pub reports: mpsc::UnboundedSender<(AttemptId, Report)>,
    /// Sends its chunks.
    pub sender: EventSender,
}

impl Job {
    /// Starts to prepare a load, after the previous one has ended on this machine.
    #[must_use]
    pub fn start(context: JobContext, prepare: Prepare, pinned: Option<CpuSet>, previous: Option<Self>) -> Self {
        let barrier = Arc::new(Barrier::default());
        let control = Arc::new(Control::with_barrier(Arc::clone(&barrier)));
        let task = Task {
            context,
            control: Arc::clone(&control),
            barrier: Arc::clone(&barrier),
        };
        let task = tokio::spawn(async move {
            if let Some(previous) = previous {
                previous.end().await;
            }
            if let Err(why) = task.run(prepare, pinned).await {
                task.report(Report::Failed(why));
            }
        });
        Self { control, barrier, task }
    }

    /// Starts the load at this CLOCK_MONOTONIC time, ns.
    pub fn start_at(&self, start_ns: u64) {
        self.barrier.start_at(start_ns);
    }

    /// Cancels the load; its threads end within 0.1 s.
    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// Cancels the load and waits until it has ended.
    pub async fn end(mut self) {
        self.cancel();
        if let Err(error) = (&mut self.task).await {
            warn!("the task of a load failed: {error}");
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.control.cancel();
    }
}

/// The engine for a PREPARE; `pinned` overrides the load's CPUs.
fn engine(
    mut prepare: Prepare,
    pinned: Option<&CpuSet>,
    accepted: &AcceptedCommands,
) -> Result<Box<dyn Engine + Send>, LoadError> {
    if let Some(cpus) = pinned {
        prepare.load.kind.set_cpus(cpus);
    }
    let part = Part::new(prepare.part.index, prepare.part.of).ok_or(LoadError::Users("invalid part"))?;
    let spec = EngineSpec {
        load: &prepare.load,
        part,
        seed: prepare.seed,
        target: &prepare.target,
        address: prepare.address,
    };
    build_engine(spec, accepted)
}

/// An interval that does not catch up on missed ticks.
fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

struct Task {
    context: JobContext,
    control: Arc<Control>,
    barrier: Arc<Barrier>,
}

impl Task {
    /// Prepares and runs the load and sends its results.
    async fn run(&self, prepare: Prepare, pinned: Option<CpuSet>) -> Result<(), String> {
        check_target(&prepare).await?;
        let accepted = AcceptedCommands::default();
        let engine = engine(prepare, pinned.as_ref(), &accepted).map_err(|error| error.to_string())?;
        let control = Arc::clone(&self.control);
        let mut thread = tokio::task::spawn_blocking(move || engine.run(&control));
        let (mut poll, mut progress) = (ticks(READY_POLL), ticks(PROGRESS_INTERVAL));
        let mut is_ready = false;
        let outcome = loop {
            tokio::select! {
                ended = &mut thread => break ended,
                _ = poll.tick(), if !is_ready => {
                    is_ready = self.barrier.is_ready();
                    if is_ready {
                        self.report(Report::Ready);
                    }
                }
                _ = progress.tick() => self.report_progress(),
            }
        };
        let outcome = outcome.map_err(|panic| format!("the load engine panicked: {panic}"))?;
        let outcome = outcome.map_err(|error| error.to_string())?;
        let sending = self.send_results(outcome, &accepted);
        tokio::pin!(sending);
        let report = loop {
            tokio::select! {
                sent = &mut sending => break sent?,
                _ = progress.tick() => self.report_progress(),
            }
        };
        self.report(report);
        Ok(())
    }

    async fn send_results(&self, outcome: Outcome, accepted: &AcceptedCommands) -> Result<Report, String> {
        let (mut chunks, mut requests) = (Chunks::default(), 0);
        let outcome = Arc::new(outcome);
        // Reading and compression block. A channel of two limits memory and keeps the network busy.
        let (packed_tx, mut packed_rx) = mpsc::channel(2);
        let read = Arc::clone(&outcome);
        let reader = tokio::task::spawn_blocking(move || {
            let pieces = read.requests.pieces(wire::REQUESTS);
            for piece in pieces.map_err(|error| error.to_string())? {
                let piece = piece.map_err(|error| error.to_string())?;
                let packed = wire::pack(&piece).map_err(|error| error.to_string())?;
                if packed_tx.blocking_send(((piece.len() / BYTES) as u64, packed)).is_err() {
                    break;
                }
            }
            Ok::<(), String>(())
        });
        while let Some((count, packed)) = packed_rx.recv().await {
            self.send_chunk(Stream::Requests, chunks.requests, packed).await?;
            chunks.requests += 1;
            requests += count;
        }
        reader
            .await
            .map_err(|panic| format!("reading the request log panicked: {panic}"))??;
        for commands in accepted.all().chunks(wire::COMMANDS) {
            let lines = wire::commands_to_lines(commands).map_err(|error| error.to_string())?;
            let packed = wire::pack(&lines).map_err(|error| error.to_string())?;
            self.send_chunk(Stream::Accepted, chunks.accepted, packed).await?;
            chunks.accepted += 1;
        }
        Ok(Report::Done(Box::new(wire::to_fired(&outcome, requests, chunks)?)))
    }

    /// Sends a chunk, retrying until the broker has acknowledged it or the load is cancelled.
    async fn send_chunk(&self, of: Stream, number: u64, data: String) -> Result<(), String> {
        let chunk = Chunk { of, number, data };
        loop {
            if self.control.is_cancelled() {
                return Err("the load was cancelled".to_owned());
            }
            let sent = self
                .context
                .sender
                .send(&self.context.reply, Event::Chunk(chunk.clone()));
            match sent.await {
                Ok(()) => return Ok(()),
                Err(error @ BusError::Envelope(_)) => return Err(error.to_string()),
                Err(error) => warn!("{error}; retrying"),
            }
            sleep(RETRY_DELAY).await;
        }
    }

    fn report_progress(&self) {
        let progress = self.control.progress();
        self.report(Report::Progress(Progress {
            sent: progress.sent,
            succeeded: progress.succeeded,
            failed: progress.failed,
        }));
    }

    fn report(&self, report: Report) {
        // The daemon keeps the receiver as long as it runs.
        let _ = self.context.reports.send((self.context.id, report));
    }
}
