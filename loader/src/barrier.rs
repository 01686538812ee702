//! Where a load that is part of a larger one waits, all made ready, until it is told when to begin.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a wish to end may go unseen.
const ATTENTION: Duration = Duration::from_millis(50);

/// A barrier that an engine meets once, between its preparation and its first request.
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
    /// Whether the engine waits here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().is_ready
    }

    /// Lets the engine go: its load begins at this time of CLOCK_MONOTONIC, ns. The first word counts.
    pub fn start_at(&self, start_ns: u64) {
        self.lock().start_ns.get_or_insert(start_ns);
        self.changed.notify_all();
    }

    /// Waits for the start; `None`: `is_over` came first.
    pub(super) fn wait(&self, is_over: impl Fn() -> bool) -> Option<u64> {
        let mut state = self.lock();
        state.is_ready = true;
        while state.start_ns.is_none() && !is_over() {
            let waited = self.changed.wait_timeout(state, ATTENTION);
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
    fn whoever_waits_is_ready_and_learns_the_first_word() {
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
    fn whoever_is_to_end_does_not_wait() {
        let (barrier, over) = (Barrier::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| barrier.wait(|| over.load(Ordering::Relaxed)));
            over.store(true, Ordering::Relaxed);
            assert_eq!(waiting.join().unwrap(), None);
        });
    }
}
