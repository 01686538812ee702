//! The thread that makes a round at every tick.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::sample::{Counters, Sample, Samples, Subject};
use protocol::summary::HostUse;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tracing::warn;

use super::grid::Grid;
use super::pace::Pace;
use super::parse;
use super::priority::Priority;
use super::round::Rounds;
use super::source::Depth;
use super::target::Targets;
use crate::clock;
use crate::summarise::Totals;

/// How long samples are gathered before they are sent, ns.
const BATCH_NS: u64 = 1_000_000_000;

/// The most of a batch, bytes of JSON as estimated: under half of the largest message.
const BATCH_BYTES: usize = 400_000;

/// What a sampler is to do.
#[derive(Debug)]
pub struct Order {
    /// `/proc`, but in tests.
    pub root: PathBuf,
    /// `/sys`, but in tests.
    pub sys: PathBuf,
    /// Size of a page, bytes.
    pub page_bytes: u64,
    /// The distance of two ticks.
    pub interval: Duration,
    /// READY on the runner's clock, ns: the grid's beginning and the zero of all offsets.
    pub zero_ns: u64,
    /// How the thread is scheduled.
    pub priority: Priority,
    /// The processes at READY.
    pub targets: Targets,
}

/// A running sampler. Dropping it ends its thread.
#[derive(Debug)]
pub struct Sampler {
    shared: Arc<Shared>,
    zero_ns: u64,
    /// Dropped, it tells the thread to end.
    tell: Option<mpsc::Sender<Edge>>,
    opened: Option<oneshot::Receiver<()>>,
    thread: Option<JoinHandle<Sampled>>,
}

/// The thread is told that the measured window begins or ends.
#[derive(Clone, Copy, Debug)]
struct Edge;

/// What the thread is told while it runs.
#[derive(Debug)]
struct Shared {
    targets: Mutex<Arc<Targets>>,
    /// Samples that others have taken.
    more: Mutex<Vec<Sample>>,
}

/// What was sampled in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// Batches that were sent.
    pub batches: u64,
    /// Sums and means.
    pub totals: Totals,
    /// Ticks that were slept through.
    pub missed_ticks: u64,
    /// CPU that the thread used, ns.
    pub cpu_ns: u64,
    /// The part of it before the first tick and after the last: opening files, and two looks at all page tables.
    pub ends_cpu_ns: u64,
    /// The whole host from the first to the last round.
    pub host: HostUse,
    /// What could not be read.
    pub notes: Vec<String>,
}

impl Sampler {
    /// Starts the thread; its first round is at once, batches go to `out`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(order: Order, out: UnboundedSender<Samples>) -> io::Result<Self> {
        let (tell, told) = mpsc::channel();
        let (open, opened) = oneshot::channel();
        let shared = Arc::new(Shared {
            targets: Mutex::new(Arc::new(order.targets.clone())),
            more: Mutex::default(),
        });
        let (of_thread, zero_ns) = (Arc::clone(&shared), order.zero_ns);
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || Work::new(order, out, of_thread).until_told(&told, open))?;
        Ok(Self {
            shared,
            zero_ns,
            tell: Some(tell),
            opened: Some(opened),
            thread: Some(thread),
        })
    }

    /// Waits for the end of the first round, which opens every file and so takes longer than others.
    pub async fn opened(&mut self) {
        if let Some(opened) = self.opened.take() {
            // A thread that is gone has opened what it could; its end tells.
            let _ = opened.await;
        }
    }

    /// The measured window begins or ends now: all counters are read at once, and page tables as soon as no tick is kept waiting by it.
    pub fn edge(&self) {
        if let Some(tell) = &self.tell {
            // As above.
            let _ = tell.send(Edge);
        }
    }

    /// The processes from now on.
    pub fn watch(&self, targets: Targets) {
        *locked(&self.shared.targets) = Arc::new(targets);
    }

    /// Where others put samples in that they have taken.
    #[must_use]
    pub fn inlet(&self) -> Inlet {
        Inlet {
            shared: Arc::clone(&self.shared),
            zero_ns: self.zero_ns,
        }
    }

    /// Makes a last round, sends what is left and ends the thread. Blocks for the length of a round.
    #[must_use]
    pub fn finish(mut self) -> Sampled {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<Sampled> {
        drop(self.tell.take());
        let thread = self.thread.take()?;
        thread.join().inspect_err(|_| warn!("the sampler panicked")).ok()
    }
}

/// Takes samples of others in; they go out with the next round.
#[derive(Clone, Debug)]
pub struct Inlet {
    shared: Arc<Shared>,
    zero_ns: u64,
}

impl Inlet {
    /// Adds what was read just now.
    pub fn add(&self, taken: impl IntoIterator<Item = (Subject, Counters)>) {
        let offset_ns = clock::now_ns().saturating_sub(self.zero_ns);
        let samples = taken.into_iter().map(|(of, counters)| Sample {
            offset_ns,
            of,
            counters,
        });
        locked(&self.shared.more).extend(samples);
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread works with.
struct Work {
    order: Order,
    rounds: Rounds,
    pace: Pace,
    out: UnboundedSender<Samples>,
    shared: Arc<Shared>,
    waiting: Vec<Sample>,
    sent_at_ns: u64,
    /// How long the longest walk through the page tables of one process has taken, ns.
    longest_walk_ns: u64,
    sampled: Sampled,
    host_first: Option<HostUse>,
}

impl Work {
    fn new(order: Order, out: UnboundedSender<Samples>, shared: Arc<Shared>) -> Self {
        Self {
            rounds: Rounds::new(order.root.clone(), &order.sys, order.page_bytes),
            pace: Pace::new(ns(order.interval)),
            out,
            shared,
            waiting: Vec::new(),
            sent_at_ns: clock::now_ns(),
            longest_walk_ns: 0,
            sampled: Sampled::default(),
            host_first: host(&order.root),
            order,
        }
    }

    fn until_told(mut self, told: &mpsc::Receiver<Edge>, open: oneshot::Sender<()>) -> Sampled {
        self.sampled.notes.extend(self.order.priority.apply().err());
        self.checkpoint();
        self.pace.took(clock::now_ns(), 0);
        let opening_cpu_ns = clock::thread_cpu_ns();
        // Nobody need wait for it.
        let _ = open.send(());
        let mut grid = Grid::from(self.order.zero_ns, self.order.interval, clock::now_ns());
        loop {
            let (wait, missed) = grid.next(clock::now_ns());
            self.sampled.missed_ticks += missed;
            if !self.wait(clock::now_ns() + ns(wait), told) {
                break;
            }
            self.round();
        }
        let before_closing = clock::thread_cpu_ns();
        self.checkpoint();
        self.send();
        if let (Some(first), Some(last)) = (&self.host_first, host(&self.order.root)) {
            self.sampled.host = parse::host_between(first, &last);
        }
        self.sampled.notes.extend(self.rounds.take_notes());
        self.sampled.cpu_ns = clock::thread_cpu_ns();
        self.sampled.ends_cpu_ns = opening_cpu_ns + self.sampled.cpu_ns - before_closing;
        self.sampled
    }

    /// Waits for the next tick, and meanwhile does what it is told and what is left to do; `false`: it is to end.
    fn wait(&mut self, due_ns: u64, told: &mpsc::Receiver<Edge>) -> bool {
        loop {
            let left = due_ns.saturating_sub(clock::now_ns());
            // A walk that takes longer than an interval would never be due: it may then delay a tick.
            let may_walk = self.rounds.has_to_walk() && left >= self.longest_walk_ns.min(ns(self.order.interval) / 2);
            let patience = if may_walk { 0 } else { left };
            match told.recv_timeout(Duration::from_nanos(patience)) {
                Ok(Edge) => self.edge(),
                Err(RecvTimeoutError::Timeout) if may_walk => self.walk(),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// What is due at a tick.
    fn round(&mut self) {
        let (began, cpu) = (clock::now_ns(), clock::thread_cpu_ns());
        let depth = self.pace.depth(began);
        self.sample(|rounds, targets, offset| rounds.sample(targets, depth, offset));
        if depth == Depth::Full {
            self.pace.took(began, clock::thread_cpu_ns() - cpu);
        }
    }

    /// All counters, page tables at once.
    fn checkpoint(&mut self) {
        self.sample(|rounds, targets, offset| rounds.sample(targets, Depth::Checkpoint, offset));
    }

    /// All counters at an edge of the window, page tables to follow.
    fn edge(&mut self) {
        let (began, cpu) = (clock::now_ns(), clock::thread_cpu_ns());
        self.sample(|rounds, targets, offset| rounds.begin_walk(targets, offset));
        self.pace.took(began, clock::thread_cpu_ns() - cpu);
    }

    fn walk(&mut self) {
        let began = clock::now_ns();
        let zero_ns = self.order.zero_ns;
        let sample = self.rounds.walk(|| clock::now_ns().saturating_sub(zero_ns));
        self.longest_walk_ns = self.longest_walk_ns.max(clock::now_ns() - began);
        self.sampled.totals.add_apart(sample.as_slice());
        self.waiting.extend(sample);
    }

    fn sample(&mut self, round: impl FnOnce(&mut Rounds, &Targets, &dyn Fn() -> u64) -> Vec<Sample>) {
        let targets = Arc::clone(&locked(&self.shared.targets));
        let zero_ns = self.order.zero_ns;
        let offset = || clock::now_ns().saturating_sub(zero_ns);
        let mut samples = std::mem::take(&mut *locked(&self.shared.more));
        samples.extend(round(&mut self.rounds, &targets, &offset));
        self.sampled.totals.add_round(&samples);
        self.waiting.extend(samples);
        if clock::now_ns() - self.sent_at_ns >= BATCH_NS {
            self.send();
        }
    }

    fn send(&mut self) {
        self.sent_at_ns = clock::now_ns();
        let mut waiting = std::mem::take(&mut self.waiting);
        while !waiting.is_empty() {
            let rest = waiting.split_off(fitting(&waiting));
            let batch = self.sampled.batches;
            self.sampled.batches += 1;
            // Nobody listens any more when the attempt was aborted.
            let _ = self.out.send(Samples {
                batch,
                samples: waiting,
            });
            waiting = rest;
        }
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How many of the samples fit into one message, at least one.
fn fitting(samples: &[Sample]) -> usize {
    let mut bytes = 0;
    let fits = samples.iter().take_while(|sample| {
        bytes += 120 + 32 * sample.counters.len();
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

/// The counters of the whole host; `None`: not readable.
pub(crate) fn host(root: &std::path::Path) -> Option<HostUse> {
    let text = std::fs::read(root.join("stat")).ok()?;
    parse::host(&text).ok()
}

#[cfg(test)]
mod tests;
