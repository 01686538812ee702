//! The start barrier of a load that is split over several loaders.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Interval at which cancellation is checked.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// A barrier at which a prepared engine waits for its start time.
#[derive(Debug, Default)]
pub struct Barrier {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_ready: bool,
    /// CLOCK_MONOTONIC, ns.
    start_ns: Option<u64>,
}

impl Barrier {
    /// Whether the engine is waiting.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().is_ready
    }

    /// Releases the engine: its load starts at this CLOCK_MONOTONIC time, ns. Only the first call has an effect.
    pub fn start_at(&self, start_ns: u64) {
        self.lock().start_ns.get_or_insert(start_ns);
        self.changed.notify_all();
    }

    /// Waits for the start time; `None`: cancelled before.
    pub(super) fn wait(&self, is_cancelled: impl Fn() -> bool) -> Option<u64> {
        let mut state = self.lock();
        state.is_ready = true;
        while state.start_ns.is_none() && !is_cancelled() {
            let waited = self.changed.wait_timeout(state, CANCEL_POLL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.start_ns
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn the_first_start_time_is_used() {
        let barrier = Barrier::default();
        assert!(!barrier.is_ready());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| barrier.wait(|| false));
            while !barrier.is_ready() {
                std::thread::yield_now();
            }
            barrier.start_at(17);
            barrier.start_at(18);
            assert_eq!(waiting.join().unwrap(), Some(17));
        });
    }

    #[test]
    fn cancellation_ends_the_wait() {
        let (barrier, cancelled) = (Barrier::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| barrier.wait(|| cancelled.load(Ordering::Relaxed)));
            cancelled.store(true, Ordering::Relaxed);
            assert_eq!(waiting.join().unwrap(), None);
        });
    }
}
