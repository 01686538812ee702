//! No load: time passes, and what the services take when nobody asks for anything is measured.

use std::time::Duration;

use super::Engine;
use super::clock::monotonic_ns;
use super::control::Control;
use super::error::LoadError;
use super::log::RequestLog;
use super::outcome::{Origin, Outcome};
use super::tally::Tally;

/// How often it looks whether it is cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The engine `none`.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    duration: Duration,
}

impl Rest {
    /// A rest of so long.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self { duration }
    }
}

impl Engine for Rest {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let origin = Origin::after(Duration::ZERO);
        let length = u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX);
        let passed = || monotonic_ns().saturating_sub(origin.monotonic_ns);
        while passed() < length && !control.is_cancelled() {
            let left = Duration::from_nanos(length.saturating_sub(passed()));
            std::thread::sleep(left.min(LOOK_EVERY));
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
    fn nothing_is_sent_and_the_window_is_as_long_as_said() {
        let outcome = Rest::new(Duration::from_millis(60)).run(&Control::new()).unwrap();
        assert_eq!((outcome.window, outcome.counts.due), (0..60_000_000, 0));
        assert!(!outcome.cancelled && outcome.requests.read().unwrap().next().is_none());
        let cancelled = Control::new();
        cancelled.cancel();
        let outcome = Rest::new(Duration::from_secs(3600)).run(&cancelled).unwrap();
        assert!(outcome.cancelled);
    }
}
