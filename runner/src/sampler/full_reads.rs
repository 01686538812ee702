//! How often all counters are read, rather than only those that are cheap and change fast. At the edges of the measurement window all counters are
//! read whatever that costs.

use super::reader::Depth;

/// The shortest time between two full reads, ns: their counters are evaluated over windows of seconds.
const LEAST_NS: u64 = 1_000_000_000;

/// Full reads may use at most 1/SHARE of a CPU.
const SHARE: u64 = 1000;

/// When the next full read is due.
#[derive(Debug)]
pub struct FullReads {
    due_ns: u64,
    tolerance_ns: u64,
}

impl FullReads {
    /// The first round is a full one. `interval_ns` is the time between two rounds.
    #[must_use]
    pub const fn new(interval_ns: u64) -> Self {
        Self {
            due_ns: 0,
            tolerance_ns: interval_ns / 2,
        }
    }

    /// How much the round that starts now reads.
    #[must_use]
    pub const fn depth(&self, now_ns: u64) -> Depth {
        if now_ns.saturating_add(self.tolerance_ns) >= self.due_ns {
            Depth::Full
        } else {
            Depth::Quick
        }
    }

    /// Records when a full read started and its CPU time.
    pub fn record(&mut self, start_ns: u64, cost_ns: u64) {
        self.due_ns = start_ns.saturating_add(LEAST_NS.max(cost_ns.saturating_mul(SHARE)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn full_rounds(interval_ms: u64, cost_ns: u64, rounds: u64) -> u64 {
        let mut full_reads = FullReads::new(interval_ms * MS);
        let mut full = 0;
        for round in 0..rounds {
            let now = round * interval_ms * MS + round % 3 * 10_000;
            if full_reads.depth(now) == Depth::Full {
                full += 1;
                full_reads.record(now, cost_ns);
            }
        }
        full
    }

    #[test]
    fn one_round_a_second_is_full() {
        assert_eq!(full_rounds(1000, MS, 100), 100);
        assert_eq!(full_rounds(10_000, MS, 10), 10);
        assert_eq!(full_rounds(100, MS, 100), 10);
    }

    #[test]
    fn a_read_in_between_postpones_the_next_one() {
        let mut full_reads = FullReads::new(100 * MS);
        full_reads.record(350 * MS, MS);
        assert_eq!(full_reads.depth(1200 * MS), Depth::Quick);
        assert_eq!(full_reads.depth(1300 * MS), Depth::Full);
    }

    #[test]
    fn expensive_reads_are_rarer() {
        // 4 ms every 4 s are 1/1000 of a CPU.
        assert_eq!(full_rounds(1000, 4 * MS, 100), 25);
    }
}
