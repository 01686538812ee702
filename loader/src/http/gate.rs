//! Where the threads of a run wait until all are ready, and learn when it starts.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::outcome::Origin;

/// A gate that opens once.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    arrived: usize,
    failed: bool,
    /// `Some(None)` if there is no start.
    verdict: Option<Option<Origin>>,
}

impl Gate {
    /// A thread is ready, or cannot run; returns the start, or `None` if some thread cannot run.
    pub fn arrive(&self, ready: bool) -> Option<Origin> {
        let mut state = self.lock();
        state.arrived += 1;
        state.failed |= !ready;
        self.changed.notify_all();
        loop {
            if let Some(verdict) = state.verdict {
                return verdict;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for `threads` to arrive and lets them go, if `wanted` and all are ready; returns the start.
    pub fn open(&self, threads: usize, wanted: bool, start: impl FnOnce() -> Origin) -> Option<Origin> {
        let mut state = self.lock();
        while state.arrived < threads {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let verdict = (wanted && !state.failed).then(start);
        state.verdict = Some(verdict);
        self.changed.notify_all();
        verdict
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
