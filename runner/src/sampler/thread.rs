//! The thread that samples.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::sample::{Counters, Sample, Samples, Subject};
use protocol::summary::HostUsage;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tracing::warn;

use super::full_reads::FullReads;
use super::grid::Grid;
use super::host::host_use;
use super::parse;
use super::priority::Priority;
use super::reader::Depth;
use super::round::Rounds;
use super::targets::Targets;
use super::totals::Sampled;
use crate::clock;

/// How long samples are collected before they are sent, ns.
const BATCH_NS: u64 = 1_000_000_000;

/// The largest batch, bytes of JSON as estimated: less than half of the largest message.
const BATCH_BYTES: usize = 400_000;

/// What a sampler needs to start.
#[derive(Debug)]
pub struct SamplerConfig {
    /// `/proc`, or a recorded one in tests.
    pub root: PathBuf,
    /// `/sys`, or a recorded one in tests.
    pub sys: PathBuf,
    /// Page size, bytes.
    pub page_bytes: u64,
    /// From one tick to the next.
    pub interval: Duration,
    /// READY on the runner's clock, ns: the origin of the grid and of all offsets.
    pub zero_ns: u64,
    /// How the thread is scheduled.
    pub priority: Priority,
    /// What is sampled.
    pub targets: Targets,
}

/// A running sampler. Dropping it ends its thread.
#[derive(Debug)]
pub struct Sampler {
    external: ExternalSamples,
    /// Dropping it tells the thread to end.
    edge_tx: Option<mpsc::Sender<Edge>>,
    opened: Option<oneshot::Receiver<()>>,
    thread: Option<JoinHandle<Sampled>>,
}

/// Tells the thread that the measurement window begins or ends.
#[derive(Clone, Copy, Debug)]
struct Edge;

impl Sampler {
    /// Starts the thread. Its first round is immediate; batches go to `out`.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn start(config: SamplerConfig, out: UnboundedSender<Samples>) -> io::Result<Self> {
        let (edge_tx, edge_rx) = mpsc::channel();
        let (opened_tx, opened) = oneshot::channel();
        let external = ExternalSamples {
            samples: Arc::default(),
            zero_ns: config.zero_ns,
        };
        let of_thread = Arc::clone(&external.samples);
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || SamplerThread::new(config, out, of_thread).run(&edge_rx, opened_tx))?;
        Ok(Self {
            external,
            edge_tx: Some(edge_tx),
            opened: Some(opened),
            thread: Some(thread),
        })
    }

    /// Waits for the first round, which opens every file and so takes longer than the others.
    pub async fn opened(&mut self) {
        if let Some(opened) = self.opened.take() {
            // An error means that the thread has ended, which `finish` reports.
            let _ = opened.await;
        }
    }

    /// The measurement window begins or ends now: all counters are read at once, and page tables as soon as that delays no tick.
    pub fn edge(&self) {
        if let Some(edge_tx) = &self.edge_tx {
            // As above.
            let _ = edge_tx.send(Edge);
        }
    }

    /// Accepts samples that others have taken.
    #[must_use]
    pub fn external(&self) -> ExternalSamples {
        self.external.clone()
    }

    /// Takes a last round, sends the remaining samples and ends the thread. Blocks for the length of a round.
    #[must_use]
    pub fn finish(mut self) -> Sampled {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<Sampled> {
        drop(self.edge_tx.take());
        let thread = self.thread.take()?;
        thread.join().inspect_err(|_| warn!("the sampler panicked")).ok()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

/// Samples that others have taken; they are sent with the next round.
#[derive(Clone, Debug)]
pub struct ExternalSamples {
    samples: Arc<Mutex<Vec<Sample>>>,
    zero_ns: u64,
}

impl ExternalSamples {
    /// Adds figures that were read just now.
    pub fn add(&self, figures: impl IntoIterator<Item = (Subject, Counters)>) {
        let offset_ns = clock::now_ns().saturating_sub(self.zero_ns);
        let samples = figures.into_iter().map(|(of, counters)| Sample {
            offset_ns,
            of,
            counters,
        });
        lock(&self.samples).extend(samples);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state of the thread.
struct SamplerThread {
    config: SamplerConfig,
    rounds: Rounds,
    full_reads: FullReads,
    out: UnboundedSender<Samples>,
    external: Arc<Mutex<Vec<Sample>>>,
    unsent: Vec<Sample>,
    sent_at_ns: u64,
    /// The longest walk through the page tables of one process so far, ns.
    longest_walk_ns: u64,
    sampled: Sampled,
    host_first: Option<HostUsage>,
}

impl SamplerThread {
    fn new(config: SamplerConfig, out: UnboundedSender<Samples>, external: Arc<Mutex<Vec<Sample>>>) -> Self {
        Self {
            rounds: Rounds::new(config.root.clone(), &config.sys, config.page_bytes),
            full_reads: FullReads::new(ns(config.interval)),
            out,
            external,
            unsent: Vec::new(),
            sent_at_ns: clock::now_ns(),
            longest_walk_ns: 0,
            sampled: Sampled::default(),
            host_first: host_use(&config.root),
            config,
        }
    }

    fn run(mut self, edge_rx: &mpsc::Receiver<Edge>, opened: oneshot::Sender<()>) -> Sampled {
        self.sampled.notes.extend(self.config.priority.apply().err());
        self.checkpoint();
        self.full_reads.record(clock::now_ns(), 0);
        let opening_cpu_ns = clock::thread_cpu_ns();
        // Nobody has to wait for it.
        let _ = opened.send(());
        let mut grid = Grid::from(self.config.zero_ns, self.config.interval, clock::now_ns());
        loop {
            let (wait, missed) = grid.next(clock::now_ns());
            self.sampled.missed_ticks += missed;
            if !self.wait(clock::now_ns() + ns(wait), edge_rx) {
                break;
            }
            self.round();
        }
        let before_closing = clock::thread_cpu_ns();
        self.checkpoint();
        self.send();
        if let (Some(first), Some(last)) = (&self.host_first, host_use(&self.config.root)) {
            self.sampled.host = parse::host_between(first, &last);
        }
        self.sampled.notes.extend(self.rounds.take_notes());
        self.sampled.cpu_ns = clock::thread_cpu_ns();
        self.sampled.ends_cpu_ns = opening_cpu_ns + self.sampled.cpu_ns - before_closing;
        self.sampled
    }

    /// Waits for the next tick; in the meantime handles edges and walks page tables. `false`: the thread is to end.
    fn wait(&mut self, due_ns: u64, edge_rx: &mpsc::Receiver<Edge>) -> bool {
        loop {
            let left = due_ns.saturating_sub(clock::now_ns());
            // A walk that takes longer than half an interval would never fit, so it may delay a tick.
            let may_walk = self.rounds.has_to_walk() && left >= self.longest_walk_ns.min(ns(self.config.interval) / 2);
            let timeout = if may_walk { 0 } else { left };
            match edge_rx.recv_timeout(Duration::from_nanos(timeout)) {
                Ok(Edge) => self.edge(),
                Err(RecvTimeoutError::Timeout) if may_walk => self.walk(),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn round(&mut self) {
        let (start_ns, start_cpu_ns) = (clock::now_ns(), clock::thread_cpu_ns());
        let depth = self.full_reads.depth(start_ns);
        self.sample(|rounds, targets, offset| rounds.sample(targets, depth, offset));
        if depth == Depth::Full {
            self.full_reads.record(start_ns, clock::thread_cpu_ns() - start_cpu_ns);
        }
    }

    /// Reads all counters, page tables included.
    fn checkpoint(&mut self) {
        self.sample(|rounds, targets, offset| rounds.sample(targets, Depth::Checkpoint, offset));
    }

    /// Reads all counters at an edge of the window; page tables follow.
    fn edge(&mut self) {
        let (start_ns, start_cpu_ns) = (clock::now_ns(), clock::thread_cpu_ns());
        self.sample(|rounds, targets, offset| rounds.begin_walk(targets, offset));
        self.full_reads.record(start_ns, clock::thread_cpu_ns() - start_cpu_ns);
    }

    fn walk(&mut self) {
        let start_ns = clock::now_ns();
        let zero_ns = self.config.zero_ns;
        let sample = self.rounds.walk(|| clock::now_ns().saturating_sub(zero_ns));
        self.longest_walk_ns = self.longest_walk_ns.max(clock::now_ns() - start_ns);
        self.sampled.totals.count(sample.as_slice());
        self.unsent.extend(sample);
    }

    fn sample(&mut self, round: impl FnOnce(&mut Rounds, &Targets, &dyn Fn() -> u64) -> Vec<Sample>) {
        let zero_ns = self.config.zero_ns;
        let offset = || clock::now_ns().saturating_sub(zero_ns);
        let mut samples = std::mem::take(&mut *lock(&self.external));
        samples.extend(round(&mut self.rounds, &self.config.targets, &offset));
        self.sampled.totals.add_round(&samples);
        self.unsent.extend(samples);
        if clock::now_ns() - self.sent_at_ns >= BATCH_NS {
            self.send();
        }
    }

    fn send(&mut self) {
        self.sent_at_ns = clock::now_ns();
        let mut samples = std::mem::take(&mut self.unsent);
        while !samples.is_empty() {
            let rest = samples.split_off(fitting(&samples));
            let batch = self.sampled.batches;
            self.sampled.batches += 1;
            // The receiver is gone if the attempt was aborted.
            let _ = self.out.send(Samples { batch, samples });
            samples = rest;
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

#[cfg(test)]
mod tests;
