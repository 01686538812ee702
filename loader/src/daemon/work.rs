//! The load of one attempt: made ready, fired, and sent home.

use std::sync::Arc;
use std::time::Duration;

use protocol::bus::{BusError, EventSender, Reply};
use protocol::load::{Chunk, Prepare, Progress, Stream};
use protocol::spec::CpuSet;
use protocol::{AttemptId, Event};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;

use super::desk::Report;
use crate::jung::AcceptedCommands;
use crate::wire::pieces;
use crate::wire::result::{Chunks, fired};
use crate::{Barrier, Control, Engine, LoadError, Order, Outcome, Part, engine, touch};

/// How often it is looked whether the engine waits at the barrier.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often the controller hears of the load.
const SAY_EVERY: Duration = Duration::from_millis(500);

/// The pause before a chunk is sent again.
const PAUSE: Duration = Duration::from_millis(500);

/// A load at work. Dropped, it is cancelled.
#[derive(Debug)]
pub struct Work {
    control: Arc<Control>,
    barrier: Arc<Barrier>,
    task: JoinHandle<()>,
}

/// What a load needs of the daemon.
#[derive(Debug)]
pub struct Post {
    /// Whose attempt it is.
    pub reply: Reply,
    /// Where it reports.
    pub reports: mpsc::UnboundedSender<(AttemptId, Report)>,
    /// Where its chunks go, over the connection that holds at the time.
    pub sender: watch::Receiver<EventSender>,
}

impl Work {
    /// Begins to make a load ready, once the one before is gone from this machine.
    #[must_use]
    pub fn start(post: Post, id: AttemptId, prepare: Prepare, pinned: Option<CpuSet>, before: Option<Self>) -> Self {
        let barrier = Arc::new(Barrier::default());
        let control = Arc::new(Control::behind(Arc::clone(&barrier)));
        let job = Job {
            post,
            id,
            control: Arc::clone(&control),
            barrier: Arc::clone(&barrier),
        };
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.gone().await;
            }
            let reports = job.post.reports.clone();
            if let Err(why) = job.run(prepare, pinned).await {
                // The daemon's end of the channel lives as long as the daemon.
                drop(reports.send((id, Report::Broken(why))));
            }
        });
        Self { control, barrier, task }
    }

    /// Lets the load begin at this time of CLOCK_MONOTONIC, ns.
    pub fn begin(&self, start_ns: u64) {
        self.barrier.start_at(start_ns);
    }

    /// Ends the load; its threads are gone within a tenth of a second.
    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// Waits until it is gone.
    pub async fn gone(mut self) {
        self.cancel();
        if let Err(error) = (&mut self.task).await {
            warn!("the work of a load ended badly: {error}");
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.control.cancel();
    }
}

/// The engine that PREPARE asks for, on the loader's own CPUs if it has some.
fn part_of(
    mut prepare: Prepare,
    pinned: Option<&CpuSet>,
    accepted: &AcceptedCommands,
) -> Result<Box<dyn Engine + Send>, LoadError> {
    if let Some(cpus) = pinned {
        prepare.load.kind.set_cpus(cpus);
    }
    let part = Part::new(prepare.part.index, prepare.part.of).ok_or(LoadError::Users("there is no such part"))?;
    let order = Order {
        load: &prepare.load,
        part,
        seed: prepare.seed,
        target: &prepare.target,
        address: prepare.address,
    };
    engine(order, accepted)
}

struct Job {
    post: Post,
    id: AttemptId,
    control: Arc<Control>,
    barrier: Arc<Barrier>,
}

impl Job {
    /// All of it; an error is what keeps the load from being fired, or its outcome from being sent.
    async fn run(self, prepare: Prepare, pinned: Option<CpuSet>) -> Result<(), String> {
        touch(&prepare).await?;
        let accepted = AcceptedCommands::default();
        let engine = part_of(prepare, pinned.as_ref(), &accepted).map_err(|error| error.to_string())?;
        let watched = Arc::clone(&self.control);
        let mut thread = tokio::task::spawn_blocking(move || engine.run(&watched));
        let (mut look, mut say) = (interval(LOOK_EVERY), interval(SAY_EVERY));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        say.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_ready = false;
        let outcome = loop {
            tokio::select! {
                ended = &mut thread => break ended,
                _ = look.tick(), if !is_ready => {
                    is_ready = self.barrier.is_ready();
                    if is_ready {
                        self.report(Report::Ready);
                    }
                }
                _ = say.tick() => self.say_progress(),
            }
        };
        let outcome = outcome.map_err(|panic| format!("the load engine panicked: {panic}"))?;
        let outcome = outcome.map_err(|error| error.to_string())?;
        self.bring(outcome, &accepted).await
    }

    /// Sends what the load brought, and says that it lives meanwhile.
    async fn bring(&self, outcome: Outcome, accepted: &AcceptedCommands) -> Result<(), String> {
        let mut say = interval(SAY_EVERY);
        say.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sending = self.send(outcome, accepted);
        tokio::pin!(sending);
        let report = loop {
            tokio::select! {
                sent = &mut sending => break sent?,
                _ = say.tick() => self.say_progress(),
            }
        };
        self.report(report);
        Ok(())
    }

    async fn send(&self, outcome: Outcome, accepted: &AcceptedCommands) -> Result<Report, String> {
        let (mut chunks, mut requests) = (Chunks::default(), 0);
        let outcome = Arc::new(outcome);
        // Reading and packing block; a channel of two keeps memory small and the network busy.
        let (give, mut take) = mpsc::channel(2);
        let read = Arc::clone(&outcome);
        let reader = tokio::task::spawn_blocking(move || {
            for piece in read
                .requests
                .pieces(pieces::REQUESTS)
                .map_err(|error| error.to_string())?
            {
                let piece = piece.map_err(|error| error.to_string())?;
                let packed = pieces::pack(&piece).map_err(|error| error.to_string())?;
                if give.blocking_send((piece.len() as u64 / 64, packed)).is_err() {
                    break;
                }
            }
            Ok::<(), String>(())
        });
        while let Some((count, packed)) = take.recv().await {
            self.chunk(Stream::Requests, chunks.requests, packed).await?;
            chunks.requests += 1;
            requests += count;
        }
        reader
            .await
            .map_err(|panic| format!("reading the log panicked: {panic}"))??;
        for commands in accepted.all().chunks(pieces::COMMANDS) {
            let lines = pieces::commands_to_lines(commands).map_err(|error| error.to_string())?;
            let packed = pieces::pack(&lines).map_err(|error| error.to_string())?;
            self.chunk(Stream::Accepted, chunks.accepted, packed).await?;
            chunks.accepted += 1;
        }
        Ok(Report::Done(Box::new(fired(&outcome, requests, chunks)?)))
    }

    /// Sends a chunk until the broker has it, or nobody wants it any more.
    async fn chunk(&self, of: Stream, number: u64, data: String) -> Result<(), String> {
        let chunk = Chunk { of, number, data };
        loop {
            if self.control.is_cancelled() {
                return Err("the load was cancelled".to_owned());
            }
            let connection = self.post.sender.borrow().clone();
            match connection.send(&self.post.reply, Event::Chunk(chunk.clone())).await {
                Ok(()) => return Ok(()),
                Err(error @ BusError::Envelope(_)) => return Err(error.to_string()),
                Err(error) => warn!("{error}; trying again"),
            }
            sleep(PAUSE).await;
        }
    }

    fn say_progress(&self) {
        let progress = self.control.progress();
        self.report(Report::Progress(Progress {
            sent: progress.sent,
            succeeded: progress.succeeded,
            failed: progress.failed,
        }));
    }

    fn report(&self, report: Report) {
        // The daemon's end of the channel lives as long as the daemon.
        drop(self.post.reports.send((self.id, report)));
    }
}
