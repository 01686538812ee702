//! Progress as plain lines, for log files and pipes.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::bars::whole_seconds;
use super::display::{Progress, TrialLabel};
use crate::config::show_duration;

/// Minimum interval between two lines about one load.
const LOAD_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Lines {
    every: Duration,
    stamp: fn() -> String,
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    label: String,
    last_tick: Instant,
}

impl Lines {
    /// Lines on standard error, prefixed with the time (UTC).
    pub(super) fn to_stderr() -> Self {
        let stamp = || format!("{:.0} ", jiff::Timestamp::now());
        Self::new(Box::new(std::io::stderr()), stamp, LOAD_INTERVAL)
    }

    pub(super) fn new(out: Box<dyn Write + Send>, stamp: fn() -> String, every: Duration) -> Self {
        let state = Mutex::new(State {
            out,
            label: String::new(),
            last_tick: Instant::now(),
        });
        Self { every, stamp, state }
    }

    fn trial_line(&self, text: &str) {
        let label = self.with(|state| state.label.clone());
        self.line(&format!("{label}: {text}"));
    }

    /// Prints a line; a closed pipe is ignored.
    fn line(&self, text: &str) {
        let stamp = (self.stamp)();
        self.with(|state| {
            let _ = writeln!(state.out, "{stamp}{text}");
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // The state is consistent even after a panic in another thread.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Progress for Lines {
    fn resumed(&self, trials: usize) {
        self.line(&format!("resuming after {trials} trials"));
    }

    fn trial_started(&self, label: &TrialLabel) {
        self.with(|state| state.label = label.to_string());
        self.trial_line("start");
    }

    fn phase(&self, phase: &str) {
        self.with(|state| state.last_tick = Instant::now());
        self.trial_line(phase);
    }

    fn load_progress(&self, done: u64, total: Option<u64>, errors: u64) {
        let due = self.with(|state| {
            let due = state.last_tick.elapsed() >= self.every;
            if due {
                state.last_tick = Instant::now();
            }
            due
        });
        if due {
            let of = total.map_or_else(String::new, |total| format!("/{total}"));
            self.trial_line(&format!("{done}{of} requests, {errors} errors"));
        }
    }

    fn trial_done(&self, outcome: &str, eta: Duration) {
        self.trial_line(&format!(
            "{outcome}; about {} remaining",
            show_duration(whole_seconds(eta))
        ));
    }

    fn attempt_failed(&self, why: &str) {
        self.trial_line(&format!("will be retried: {why}"));
    }

    fn note(&self, text: &str) {
        self.line(&format!("NOTE: {text}"));
    }

    fn finish(&self, summary: &str) {
        self.line(summary);
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
