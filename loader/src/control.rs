//! The view from outside on a running load: how far it is, and the wish that it end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::barrier::Barrier;
use super::outcome::Origin;

/// Most threads of an engine.
pub const MAX_THREADS: usize = 64;

/// Shared between an engine and whoever watches it.
#[derive(Debug)]
pub struct Control {
    cancelled: AtomicBool,
    scratch: PathBuf,
    barrier: Option<Arc<Barrier>>,
    lanes: Box<[Lane]>,
}

/// The counters of one thread, on cache lines of their own so that no two cores share one.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Lane {
    sent: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// How far a load is, warm-up included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests that went out.
    pub sent: u64,
    /// Requests with a right reply.
    pub succeeded: u64,
    /// Requests that failed, some of them perhaps without having been sent.
    pub failed: u64,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            cancelled: AtomicBool::new(false),
            scratch: scratch(),
            barrier: None,
            lanes: (0..MAX_THREADS).map(|_| Lane::default()).collect(),
        }
    }
}

impl Control {
    /// A control of a load that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A control of a load that waits at a barrier before its first request.
    #[must_use]
    pub fn behind(barrier: Arc<Barrier>) -> Self {
        Self {
            barrier: Some(barrier),
            ..Self::default()
        }
    }

    /// The start of a load whose threads are ready: so long from now, or what the barrier says.
    pub(super) fn origin(&self, head_start: Duration) -> Origin {
        let start = self
            .barrier
            .as_ref()
            .and_then(|barrier| barrier.wait(|| self.is_cancelled()));
        start.map_or_else(|| Origin::after(head_start), Origin::at_monotonic)
    }

    /// Asks the load to end; it stays cancelled.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// The counters of all threads; each is exact, together they may be of slightly different moments.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.lanes.iter().fold(Progress::default(), |sum, lane| Progress {
            sent: sum.sent + lane.sent.load(Ordering::Relaxed),
            succeeded: sum.succeeded + lane.succeeded.load(Ordering::Relaxed),
            failed: sum.failed + lane.failed.load(Ordering::Relaxed),
        })
    }

    /// Shows the progress of a part of the load that another machine fires.
    pub fn publish(&self, part: usize, progress: Progress) {
        self.lane(part).publish(progress);
    }

    /// The folder of the log of requests while the load runs.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    pub(super) fn lane(&self, thread: usize) -> &Lane {
        &self.lanes[thread % MAX_THREADS]
    }
}

/// `TMPDIR`, or `/var/tmp`: `/tmp` is memory on many machines.
fn scratch() -> PathBuf {
    std::env::var_os("TMPDIR")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from("/var/tmp")).filter(|path| path.is_dir()))
        .unwrap_or_else(std::env::temp_dir)
}

impl Lane {
    /// Publishes the counters of the one thread that owns the lane.
    pub(super) fn publish(&self, progress: Progress) {
        self.sent.store(progress.sent, Ordering::Relaxed);
        self.succeeded.store(progress.succeeded, Ordering::Relaxed);
        self.failed.store(progress.failed, Ordering::Relaxed);
    }
}
