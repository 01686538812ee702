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
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<Sampled>>,
}

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
        let (stop, stopped) = mpsc::channel();
        let shared = Arc::new(Shared {
            targets: Mutex::new(Arc::new(order.targets.clone())),
            more: Mutex::default(),
        });
        let (of_thread, zero_ns) = (Arc::clone(&shared), order.zero_ns);
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || Work::new(&order, out, of_thread).until(&stopped, &order))?;
        Ok(Self {
            shared,
            zero_ns,
            stop: Some(stop),
            thread: Some(thread),
        })
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
        drop(self.stop.take());
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
    rounds: Rounds,
    out: UnboundedSender<Samples>,
    shared: Arc<Shared>,
    waiting: Vec<Sample>,
    sent_at_ns: u64,
    sampled: Sampled,
    host_first: Option<HostUse>,
}

impl Work {
    fn new(order: &Order, out: UnboundedSender<Samples>, shared: Arc<Shared>) -> Self {
        Self {
            rounds: Rounds::new(order.root.clone(), &order.sys, order.page_bytes),
            out,
            shared,
            waiting: Vec::new(),
            sent_at_ns: clock::now_ns(),
            sampled: Sampled::default(),
            host_first: host(&order.root),
        }
    }

    fn until(mut self, stopped: &mpsc::Receiver<()>, order: &Order) -> Sampled {
        self.sampled.notes.extend(order.priority.apply().err());
        let mut grid = Grid::new(order.zero_ns, order.interval);
        let mut pace = Pace::new(u64::try_from(order.interval.as_nanos()).unwrap_or(u64::MAX));
        let mut depth = Depth::Checkpoint;
        loop {
            let (began, cpu) = (clock::now_ns(), clock::thread_cpu_ns());
            self.round(order, depth);
            if depth > Depth::Quick {
                // Checkpoints are the ends: what they cost says nothing of full rounds.
                let cost = if depth == Depth::Full {
                    clock::thread_cpu_ns() - cpu
                } else {
                    0
                };
                pace.took(began, cost);
            }
            let (wait, missed) = grid.next(clock::now_ns());
            self.sampled.missed_ticks += missed;
            if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            depth = pace.depth(clock::now_ns());
        }
        self.round(order, Depth::Checkpoint);
        self.send();
        if let (Some(first), Some(last)) = (&self.host_first, host(&order.root)) {
            self.sampled.host = parse::host_between(first, &last);
        }
        self.sampled.notes.extend(self.rounds.take_notes());
        self.sampled.cpu_ns = clock::thread_cpu_ns();
        self.sampled
    }

    fn round(&mut self, order: &Order, depth: Depth) {
        let targets = Arc::clone(&locked(&self.shared.targets));
        let offset = || clock::now_ns().saturating_sub(order.zero_ns);
        let mut samples = std::mem::take(&mut *locked(&self.shared.more));
        samples.extend(self.rounds.sample(&targets, depth, offset));
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
mod tests {
    use super::*;
    use crate::sampler::target::Service;
    use protocol::sample::{Counter, OfService};

    fn order(interval_ms: u64, pids: Vec<u32>) -> Order {
        Order {
            root: "/proc".into(),
            sys: "/sys".into(),
            page_bytes: crate::facts::page_bytes(),
            interval: Duration::from_millis(interval_ms),
            zero_ns: clock::now_ns(),
            priority: Priority::Normal,
            targets: Targets {
                services: vec![Service::new(crate::testing::name("web"), pids)],
                platform: [].into(),
            },
        }
    }

    #[test]
    fn this_very_process_is_sampled_on_the_grid() {
        let (out, mut batches) = tokio::sync::mpsc::unbounded_channel();
        let sampler = Sampler::start(order(10, vec![std::process::id()]), out).unwrap();
        let engine = Subject::Engine(OfService {
            service: crate::testing::name("web"),
        });
        sampler
            .inlet()
            .add([(engine.clone(), Counters::from_iter([(Counter::ShownBytes, 7)]))]);
        std::thread::sleep(Duration::from_millis(1100));
        let first = batches.blocking_recv().unwrap();
        sampler.watch(Targets::default());
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
        assert!(samples.iter().any(|sample| sample.of == engine));
        let own = samples.iter().filter(|sample| matches!(sample.of, Subject::Process(_)));
        assert!(own.clone().is_sorted_by_key(|sample| sample.offset_ns));
        let totals: Vec<u64> = own
            .clone()
            .filter_map(|sample| sample.counters.get(Counter::CpuNs))
            .collect();
        assert!(totals.len() > 3 && totals.is_sorted());
        assert!(
            own.clone()
                .all(|sample| sample.counters.get(Counter::RssBytes).is_some_and(|rss| rss > 0))
        );
        // Most rounds are quick, the ends are checkpoints.
        let with = |counter| {
            own.clone()
                .filter(|sample| sample.counters.get(counter).is_some())
                .count()
        };
        assert!(with(Counter::UserTicks) < totals.len() && with(Counter::PssBytes) >= 1);
        assert!(sampled.cpu_ns > 0 && sampled.host.idle_ticks + sampled.host.user_ticks > 0);
    }

    #[test]
    fn batches_fit_into_a_message() {
        let sample = |figures: usize| Sample {
            offset_ns: u64::MAX,
            of: Subject::Engine(OfService {
                service: crate::testing::name("web"),
            }),
            counters: Counter::ALL[..figures]
                .iter()
                .map(|&counter| (counter, u64::MAX >> 12))
                .collect(),
        };
        let samples = vec![sample(40); 2000];
        let fits = fitting(&samples);
        let batch = Samples {
            batch: 1,
            samples: samples[..fits].to_vec(),
        };
        let bytes = serde_json::to_vec(&batch).unwrap().len();
        assert!(fits > 100 && bytes < 800_000, "{fits} samples are {bytes} bytes");
        assert_eq!(fitting(&samples[..1]), 1);
    }
}
