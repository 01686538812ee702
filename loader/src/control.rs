//! Progress and cancellation of a running load.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::barrier::Barrier;
use super::outcome::Origin;

/// Maximum number of threads of an engine.
pub const MAX_THREADS: usize = 64;

/// Shared between an engine and its observer.
#[derive(Debug)]
pub struct Control {
    cancelled: AtomicBool,
    scratch: PathBuf,
    barrier: Option<Arc<Barrier>>,
    threads: Box<[ThreadProgress]>,
}

/// The counters of one thread, on separate cache lines to avoid false sharing.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct ThreadProgress {
    sent: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// Counts since the start of a load, including warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests sent.
    pub sent: u64,
    /// Requests with a correct reply.
    pub succeeded: u64,
    /// Requests that failed, including those never sent.
    pub failed: u64,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            cancelled: AtomicBool::new(false),
            scratch: scratch(),
            barrier: None,
            threads: (0..MAX_THREADS).map(|_| ThreadProgress::default()).collect(),
        }
    }
}

impl Control {
    /// The control of a load that starts immediately.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The control of a load that waits at a barrier before its first request.
    #[must_use]
    pub fn with_barrier(barrier: Arc<Barrier>) -> Self {
        Self {
            barrier: Some(barrier),
            ..Self::default()
        }
    }

    /// The start of a prepared load: the barrier's start time, or `head_start` from now without a barrier.
    pub(super) fn origin(&self, head_start: Duration) -> Origin {
        let start = self
            .barrier
            .as_ref()
            .and_then(|barrier| barrier.wait(|| self.is_cancelled()));
        start.map_or_else(|| Origin::after(head_start), Origin::at_monotonic)
    }

    /// Cancels the load.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the load was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// The sum over all threads; their counters may be read at slightly different times.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.threads.iter().fold(Progress::default(), |sum, thread| Progress {
            sent: sum.sent + thread.sent.load(Ordering::Relaxed),
            succeeded: sum.succeeded + thread.succeeded.load(Ordering::Relaxed),
            failed: sum.failed + thread.failed.load(Ordering::Relaxed),
        })
    }

    /// Sets the progress of a part of the load that another machine generates.
    pub fn publish(&self, part: usize, progress: Progress) {
        self.thread(part).publish(progress);
    }

    /// The directory of temporary files.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    pub(super) fn thread(&self, thread: usize) -> &ThreadProgress {
        &self.threads[thread % MAX_THREADS]
    }
}

/// `TMPDIR`, or `/var/tmp`, since `/tmp` is often a tmpfs.
fn scratch() -> PathBuf {
    std::env::var_os("TMPDIR")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from("/var/tmp")).filter(|path| path.is_dir()))
        .unwrap_or_else(std::env::temp_dir)
}

impl ThreadProgress {
    /// Sets the counters; only one thread may call this.
    pub(super) fn publish(&self, progress: Progress) {
        self.sent.store(progress.sent, Ordering::Relaxed);
        self.succeeded.store(progress.succeeded, Ordering::Relaxed);
        self.failed.store(progress.failed, Ordering::Relaxed);
    }
}
