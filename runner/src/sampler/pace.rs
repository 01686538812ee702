//! How often all counters are read, and not only those that are cheap and move fast. The measured window's edges are not its business: all of them
//! are read there, whatever it costs.

use super::source::Depth;

/// The shortest distance of two full rounds, ns: what they read is cut to windows of seconds.
const LEAST_NS: u64 = 1_000_000_000;

/// What full rounds may cost at most: one part in so many of a CPU.
const SHARE: u64 = 1000;

/// When the next full round is due.
#[derive(Debug)]
pub struct Pace {
    due_ns: u64,
    tolerance_ns: u64,
}

impl Pace {
    /// The first round is a full one. `interval_ns` is the distance of two rounds.
    #[must_use]
    pub const fn new(interval_ns: u64) -> Self {
        Self {
            due_ns: 0,
            tolerance_ns: interval_ns / 2,
        }
    }

    /// What the round that begins now reads.
    #[must_use]
    pub const fn depth(&self, now_ns: u64) -> Depth {
        if now_ns.saturating_add(self.tolerance_ns) >= self.due_ns {
            Depth::Full
        } else {
            Depth::Quick
        }
    }

    /// A full round has begun and has cost so much CPU time.
    pub fn took(&mut self, began_ns: u64, cost_ns: u64) {
        self.due_ns = began_ns.saturating_add(LEAST_NS.max(cost_ns.saturating_mul(SHARE)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn full_rounds(interval_ms: u64, cost_ns: u64, rounds: u64) -> u64 {
        let mut pace = Pace::new(interval_ms * MS);
        let mut full = 0;
        for round in 0..rounds {
            let now = round * interval_ms * MS + round % 3 * 10_000;
            if pace.depth(now) == Depth::Full {
                full += 1;
                pace.took(now, cost_ns);
            }
        }
        full
    }

    #[test]
    fn a_round_a_second_is_always_full_and_ten_are_once() {
        assert_eq!(full_rounds(1000, MS, 100), 100);
        assert_eq!(full_rounds(10_000, MS, 10), 10);
        assert_eq!(full_rounds(100, MS, 100), 10);
    }

    #[test]
    fn a_reading_in_between_moves_the_next_one() {
        let mut pace = Pace::new(100 * MS);
        pace.took(350 * MS, MS);
        assert_eq!(pace.depth(1200 * MS), Depth::Quick);
        assert_eq!(pace.depth(1300 * MS), Depth::Full);
    }

    #[test]
    fn what_is_dear_is_done_less_often() {
        // 4 ms are a share of 1/1000 every 4 s.
        assert_eq!(full_rounds(1000, 4 * MS, 100), 25);
    }
}
