//! The ticks are at `zero + k * interval`, never `now + interval`, so they do not drift.

use std::time::Duration;

/// The sampler's position on the grid.
#[derive(Debug)]
pub struct Grid {
    zero_ns: u64,
    interval_ns: u64,
    /// The last tick that was used or missed.
    tick: u64,
}

impl Grid {
    /// The grid from its first tick after `now_ns`. Earlier ticks do not count as missed.
    #[must_use]
    pub fn from(zero_ns: u64, interval: Duration, now_ns: u64) -> Self {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self {
            zero_ns,
            interval_ns,
            tick: now_ns.saturating_sub(zero_ns) / interval_ns,
        }
    }

    /// The time until the next tick, and how many ticks were missed since the last call.
    pub fn next(&mut self, now_ns: u64) -> (Duration, u64) {
        let passed = now_ns.saturating_sub(self.zero_ns) / self.interval_ns;
        let missed = passed.saturating_sub(self.tick);
        self.tick = self.tick.max(passed) + 1;
        let due = self.zero_ns.saturating_add(self.tick.saturating_mul(self.interval_ns));
        (Duration::from_nanos(due.saturating_sub(now_ns)), missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn missed_ticks_are_counted_and_the_grid_does_not_move() {
        let mut grid = Grid::from(1000, Duration::from_nanos(100), 1000);
        assert_eq!(grid.next(1003), (Duration::from_nanos(97), 0));
        assert_eq!(grid.next(1101), (Duration::from_nanos(99), 0));
        assert_eq!(
            grid.next(1499),
            (Duration::from_nanos(1), 2),
            "ticks 3 and 4 were missed, tick 5 is next"
        );
        assert_eq!(grid.next(1500), (Duration::from_nanos(100), 0));
    }

    #[test]
    fn ticks_before_the_start_are_not_missed() {
        let mut grid = Grid::from(1000, Duration::from_nanos(100), 1250);
        assert_eq!(grid.next(1260), (Duration::from_nanos(40), 0));
        assert_eq!(grid.next(1420), (Duration::from_nanos(80), 1));
    }

    proptest! {
        #[test]
        fn every_tick_is_used_or_missed(steps in proptest::collection::vec(0u64..1000, 1..50)) {
            let mut grid = Grid::from(50, Duration::from_nanos(100), 50);
            let (mut now, mut rounds, mut missed_in_all) = (50, 0, 0);
            for step in steps {
                now += step;
                let (wait, missed) = grid.next(now);
                prop_assert!(wait <= Duration::from_nanos(100));
                now += u64::try_from(wait.as_nanos()).unwrap();
                prop_assert_eq!((now - 50) % 100, 0);
                rounds += 1;
                missed_in_all += missed;
            }
            prop_assert_eq!((now - 50) / 100, rounds + missed_in_all);
        }
    }
}
