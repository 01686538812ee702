//! Where an instant here lies on the runner's clock.
//!
//! The wall clocks of two hosts are never subtracted. The runner's PONG carries its monotonic clock; of many exchanges the one with the shortest round trip bounds the offset best
//! (as NTP does, RFC 5905 section 10): the runner answered between our sending and receiving, so its clock read `clock_ns` at the middle, give or take half the round trip.

use std::time::{Duration, Instant};

/// One PING and its PONG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Our clock before sending.
    pub sent: Instant,
    /// Our clock after receiving.
    pub received: Instant,
    /// The runner's clock in between, ns.
    pub clock_ns: u64,
}

impl Exchange {
    /// How long it took.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.received.duration_since(self.sent)
    }
}

/// The runner's clock as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunnerClock {
    best: Exchange,
}

impl RunnerClock {
    /// The estimate from some exchanges; `None` from none.
    #[must_use]
    pub fn estimate(exchanges: &[Exchange]) -> Option<Self> {
        exchanges
            .iter()
            .min_by_key(|exchange| exchange.round_trip())
            .map(|&best| Self { best })
    }

    /// What the runner's clock shows at an instant here, ns; 0 before its start.
    #[must_use]
    pub fn at(&self, instant: Instant) -> u64 {
        let middle = self.best.sent + self.best.round_trip() / 2;
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        match instant.checked_duration_since(middle) {
            Some(later) => self.best.clock_ns.saturating_add(ns(later)),
            None => self.best.clock_ns.saturating_sub(ns(middle.duration_since(instant))),
        }
    }

    /// Half of the shortest round trip, ns: the runner's clock is known to this, more or less.
    #[must_use]
    pub fn error_ns(&self) -> u64 {
        u64::try_from(self.best.round_trip().as_nanos() / 2).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_exchange_no_clock() {
        assert_eq!(RunnerClock::estimate(&[]), None);
    }

    proptest! {
        /// However the delay splits over the two ways, the truth lies within the error that is claimed.
        #[test]
        fn the_truth_is_within_the_error(
            offset in 1_000_000_000u64..2_000_000_000,
            ways in proptest::collection::vec((0u64..5_000_000, 0u64..5_000_000), 1..10),
            later in 0u64..1_000_000_000,
        ) {
            let zero = Instant::now();
            let at = |ns| zero + Duration::from_nanos(ns);
            let exchanges: Vec<_> = ways.iter().enumerate().map(|(i, &(there, back))| {
                let sent = 10_000_000 * i as u64;
                Exchange { sent: at(sent), received: at(sent + there + back), clock_ns: offset + sent + there }
            }).collect();
            let clock = RunnerClock::estimate(&exchanges).unwrap();
            let truth = offset + later;
            prop_assert!(clock.at(at(later)).abs_diff(truth) <= clock.error_ns() + 1);
        }
    }
}
