//! No load: measures the resource usage of idle services.

use std::time::Duration;

use super::Engine;
use super::clock::{monotonic_ns, nanos};
use super::control::Control;
use super::error::LoadError;
use super::log::RequestLog;
use super::outcome::{Origin, Outcome};
use super::tally::Tally;

/// Interval at which cancellation is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The engine `none`.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    duration: Duration,
}

impl Idle {
    /// No load for this long.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self { duration }
    }
}

impl Engine for Idle {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let origin = Origin::after(Duration::ZERO);
        let length = nanos(self.duration);
        let passed = || monotonic_ns().saturating_sub(origin.monotonic_ns);
        while passed() < length && !control.is_cancelled() {
            let left = Duration::from_nanos(length.saturating_sub(passed()));
            std::thread::sleep(left.min(POLL_INTERVAL));
        }
        let is_cancelled = passed() < length;
        let tally = Tally::new(0..length.min(passed()));
        Ok(Outcome {
            threads: 0,
            cancelled: is_cancelled,
            ..Outcome::of(tally, origin, RequestLog::default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_and_the_window_has_the_requested_length() {
        let outcome = Idle::new(Duration::from_millis(60)).run(&Control::new()).unwrap();
        assert_eq!((outcome.window, outcome.counts.due), (0..60_000_000, 0));
        assert!(!outcome.cancelled && outcome.requests.read().unwrap().next().is_none());
        let cancelled = Control::new();
        cancelled.cancel();
        let outcome = Idle::new(Duration::from_secs(3600)).run(&cancelled).unwrap();
        assert!(outcome.cancelled);
    }
}
