//! Maps instants of this machine onto the clock of a runner or loader.
//!
//! The wall clocks of two hosts are never subtracted. A peer's PONG carries its monotonic clock. Of several exchanges, the one with the shortest round trip bounds the offset best
//! (as in NTP, RFC 5905 section 10): the peer answered between sending and receiving, so its clock read `clock_ns` at the midpoint, with an error of half the round trip.

use std::time::{Duration, Instant};

/// A PING and its PONG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// This clock before sending.
    pub sent: Instant,
    /// This clock after receiving.
    pub received: Instant,
    /// The peer's clock in between, ns.
    pub clock_ns: u64,
}

impl Exchange {
    /// The round-trip time.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.received.duration_since(self.sent)
    }
}

/// The estimated clock of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerClock {
    best: Exchange,
}

impl PeerClock {
    /// The estimate from the shortest exchange; `None` without exchanges.
    #[must_use]
    pub fn estimate(exchanges: &[Exchange]) -> Option<Self> {
        exchanges
            .iter()
            .min_by_key(|exchange| exchange.round_trip())
            .map(|&best| Self { best })
    }

    /// The peer's clock at an instant of this machine, ns; 0 before its start.
    #[must_use]
    pub fn at(&self, instant: Instant) -> u64 {
        let middle = self.best.sent + self.best.round_trip() / 2;
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        match instant.checked_duration_since(middle) {
            Some(later) => self.best.clock_ns.saturating_add(ns(later)),
            None => self.best.clock_ns.saturating_sub(ns(middle.duration_since(instant))),
        }
    }

    /// The error of the estimate: half of the shortest round trip, ns.
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
    fn no_estimate_without_exchanges() {
        assert_eq!(PeerClock::estimate(&[]), None);
    }

    proptest! {
        /// However the delay is split between the two directions, the true value lies within the error.
        #[test]
        fn the_true_clock_is_within_the_error(
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
            let clock = PeerClock::estimate(&exchanges).unwrap();
            let expected = offset + later;
            prop_assert!(clock.at(at(later)).abs_diff(expected) <= clock.error_ns() + 1);
        }
    }
}
