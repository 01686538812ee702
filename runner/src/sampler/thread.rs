//! The thread that makes a round at every tick.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::sample::{Sample, Samples};
use protocol::summary::HostUse;
use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use super::parse;
use super::round::{Rounds, Targets};
use crate::clock;
use crate::summarise::Totals;

/// How long samples are gathered before they are sent, ns.
const BATCH_NS: u64 = 1_000_000_000;

/// The most samples of a batch: some 250 bytes each, a quarter of the largest message.
const BATCH_SAMPLES: usize = 1000;

/// What a sampler is to do.
#[derive(Debug)]
pub struct Order {
    /// `/proc`, but in tests.
    pub root: PathBuf,
    /// Size of a page, bytes.
    pub page_bytes: u64,
    /// The distance of two ticks.
    pub interval: Duration,
    /// READY on the runner's clock, ns: the grid's beginning and the zero of all offsets.
    pub zero_ns: u64,
    /// The processes at READY.
    pub targets: Targets,
}

/// A running sampler. Dropping it ends its thread.
#[derive(Debug)]
pub struct Sampler {
    targets: Arc<Mutex<Targets>>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<Sampled>>,
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
    /// The whole host from the first to the last round.
    pub host: HostUse,
}

impl Sampler {
    /// Starts the thread; its first round is at once, batches go to `out`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(order: Order, out: UnboundedSender<Samples>) -> io::Result<Self> {
        let targets = Arc::new(Mutex::new(order.targets.clone()));
        let (stop, stopped) = mpsc::channel();
        let shared = Arc::clone(&targets);
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || Work::new(&order, out).until(&stopped, &order, &shared))?;
        Ok(Self {
            targets,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The processes from now on.
    pub fn watch(&self, targets: Targets) {
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    /// Makes a last round, sends what is left and ends the thread. Blocks for the length of a round.
    #[must_use]
    pub fn finish(mut self) -> Sampled {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<Sampled> {
        drop(self.stop.take());
        let thread = self.thread.take()?;
        thread.join().inspect_err(|_| warn!("the sampler panicked")).ok()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the thread works with.
struct Work {
    rounds: Rounds,
    out: UnboundedSender<Samples>,
    waiting: Vec<Sample>,
    sent_at_ns: u64,
    sampled: Sampled,
    host_first: Option<HostUse>,
}

impl Work {
    fn new(order: &Order, out: UnboundedSender<Samples>) -> Self {
        Self {
            rounds: Rounds::new(order.root.clone(), order.page_bytes),
            out,
            waiting: Vec::new(),
            sent_at_ns: clock::now_ns(),
            sampled: Sampled::default(),
            host_first: host(&order.root),
        }
    }

    fn until(mut self, stopped: &mpsc::Receiver<()>, order: &Order, targets: &Mutex<Targets>) -> Sampled {
        let mut grid = Grid::new(order.zero_ns, order.interval);
        loop {
            self.round(order, targets);
            let (wait, missed) = grid.next(clock::now_ns());
            self.sampled.missed_ticks += missed;
            if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        self.round(order, targets);
        self.send();
        if let (Some(first), Some(last)) = (&self.host_first, host(&order.root)) {
            self.sampled.host = parse::host_between(first, &last);
        }
        self.sampled.cpu_ns = clock::thread_cpu_ns();
        self.sampled
    }

    fn round(&mut self, order: &Order, targets: &Mutex<Targets>) {
        let targets = targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let offset = || clock::now_ns().saturating_sub(order.zero_ns);
        let samples = self.rounds.sample(&targets, offset);
        self.sampled.totals.add_round(&samples);
        self.waiting.extend(samples);
        if clock::now_ns() - self.sent_at_ns >= BATCH_NS || self.waiting.len() >= BATCH_SAMPLES {
            self.send();
        }
    }

    fn send(&mut self) {
        self.sent_at_ns = clock::now_ns();
        let waiting = std::mem::take(&mut self.waiting);
        for samples in waiting.chunks(BATCH_SAMPLES) {
            let batch = self.sampled.batches;
            self.sampled.batches += 1;
            // Nobody listens any more when the attempt was aborted.
            let samples = samples.to_vec();
            let _ = self.out.send(Samples { batch, samples });
        }
    }
}

/// The ticks: `zero + k * interval`, never `now + interval`, so that nothing drifts.
#[derive(Debug)]
struct Grid {
    zero_ns: u64,
    interval_ns: u64,
    /// The last tick that was kept or missed.
    tick: u64,
}

impl Grid {
    fn new(zero_ns: u64, interval: Duration) -> Self {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self {
            zero_ns,
            interval_ns,
            tick: 0,
        }
    }

    /// How long to wait for the next tick, and how many have passed meanwhile without a round.
    fn next(&mut self, now_ns: u64) -> (Duration, u64) {
        let passed = now_ns.saturating_sub(self.zero_ns) / self.interval_ns;
        let missed = passed.saturating_sub(self.tick);
        self.tick = self.tick.max(passed) + 1;
        let due = self.zero_ns.saturating_add(self.tick.saturating_mul(self.interval_ns));
        (Duration::from_nanos(due.saturating_sub(now_ns)), missed)
    }
}

/// The counters of the whole host; `None`: not readable.
pub(crate) fn host(root: &Path) -> Option<HostUse> {
    let text = std::fs::read(root.join("stat")).ok()?;
    parse::host(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_that_were_slept_through_are_counted_and_the_grid_does_not_move() {
        let mut grid = Grid::new(1000, Duration::from_nanos(100));
        assert_eq!(grid.next(1003), (Duration::from_nanos(97), 0));
        assert_eq!(grid.next(1101), (Duration::from_nanos(99), 0));
        assert_eq!(
            grid.next(1499),
            (Duration::from_nanos(1), 2),
            "ticks 3 and 4 are gone, tick 5 is next"
        );
        assert_eq!(grid.next(1500), (Duration::from_nanos(100), 0));
    }

    proptest! {
        #[test]
        fn every_tick_is_kept_or_missed(steps in proptest::collection::vec(0u64..1000, 1..50)) {
            let mut grid = Grid::new(50, Duration::from_nanos(100));
            let (mut now, mut rounds, mut missed_in_all) = (50, 0, 0);
            for step in steps {
                now += step;
                let (wait, missed) = grid.next(now);
                prop_assert!(wait <= Duration::from_nanos(100));
                now += u64::try_from(wait.as_nanos()).unwrap();
                prop_assert_eq!((now - 50) % 100, 0);
                rounds += 1;
                missed_in_all += missed;
            }
            prop_assert_eq!((now - 50) / 100, rounds + missed_in_all);
        }
    }

    #[test]
    fn this_very_process_is_sampled_on_the_grid() {
        let (out, mut batches) = tokio::sync::mpsc::unbounded_channel();
        let zero_ns = clock::now_ns();
        let service: protocol::Name = "web".parse().unwrap();
        let order = Order {
            root: "/proc".into(),
            page_bytes: 4096,
            interval: Duration::from_millis(10),
            zero_ns,
            targets: vec![(service.clone(), vec![std::process::id()])],
        };
        let sampler = Sampler::start(order, out).unwrap();
        std::thread::sleep(Duration::from_millis(1100));
        let first = batches.blocking_recv().unwrap();
        sampler.watch(vec![(service, Vec::new())]);
        let sampled = sampler.finish();
        let mut samples = first.samples;
        let mut expected_batch = 1;
        while let Some(batch) = batches.blocking_recv() {
            assert_eq!(batch.batch, expected_batch);
            expected_batch += 1;
            samples.extend(batch.samples);
        }
        assert_eq!((first.batch, sampled.batches), (0, expected_batch));
        assert_eq!(sampled.totals.samples(), samples.len() as u64);
        assert!(samples.is_sorted_by_key(|sample| sample.offset_ns));
        assert!(samples.iter().all(|sample| sample.rss_bytes > 0));
        assert!(sampled.cpu_ns > 0 && sampled.host.idle_ticks + sampled.host.user_ticks > 0);
    }
}
