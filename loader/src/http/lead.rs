//! How long before a request is due its thread wakes, and how much of a CPU it may keep busy in real time: pure.

/// What is added to the estimate of the kernel's lateness, ns: the way from the wake-up to the clock.
const MARGIN_NS: u64 = 5_000;
/// The longest lead, ns.
const LONGEST_NS: u64 = 250_000;
/// A fifth of the time that passes may be spent on watching the clock.
const SPIN_SHARE: u64 = 5;
/// A wake-up later than the estimate raises it by this, ns,
const UP_NS: u64 = 1_980;
/// any other lowers it by this: it comes to rest where 1 wake-up in 100 is later.
const DOWN_NS: u64 = 20;

/// The lead of a thread: it wakes so long before a request is due, and watches the clock from then on.
///
/// How late the kernel wakes a thread depends on the machine and on its load: from 5 us to several hundred in a virtual machine whose idle CPUs go back to its
/// host. The lead follows the 99th percentile of it. What is spun is bounded by a share of the time that passes, at any rate of requests.
#[derive(Debug)]
pub struct Lead {
    /// The estimate of the 99th percentile, ns.
    late_ns: u64,
    /// What may be spun now, ns.
    credit_ns: u64,
    /// Up to when credit was given, ns of the run.
    credited_ns: u64,
    adapts: bool,
}

impl Lead {
    /// A lead that begins with a length and adapts, or none if that is zero.
    pub fn new(first_ns: u64) -> Self {
        Self {
            late_ns: first_ns.saturating_sub(MARGIN_NS),
            credit_ns: first_ns.min(LONGEST_NS),
            credited_ns: 0,
            adapts: first_ns > 0,
        }
    }

    /// The lead at a time of the run, ns.
    pub fn at(&mut self, now_ns: u64) -> u64 {
        if !self.adapts {
            return 0;
        }
        let passed_ns = now_ns.saturating_sub(self.credited_ns);
        // What is left of a division by the share is credited the next time.
        self.credit_ns = (self.credit_ns + passed_ns / SPIN_SHARE).min(LONGEST_NS);
        self.credited_ns = now_ns - passed_ns % SPIN_SHARE;
        (self.late_ns + MARGIN_NS).min(self.credit_ns)
    }

    /// The kernel woke the thread so late, ns.
    pub fn woken(&mut self, late_ns: u64) {
        self.late_ns = if late_ns > self.late_ns {
            (self.late_ns + UP_NS).min(LONGEST_NS - MARGIN_NS)
        } else {
            self.late_ns.saturating_sub(DOWN_NS)
        };
    }

    /// So much was spun, ns.
    pub fn spun(&mut self, spun_ns: u64) {
        self.credit_ns = self.credit_ns.saturating_sub(spun_ns);
    }
}

/// The slice of time in which it is counted how long a thread was awake, ns.
const SLICE_NS: u64 = 100_000_000;

/// Whether a thread keeps its CPU so busy that what shares it would starve under a thread that is scheduled in real time.
#[derive(Debug, Default)]
pub struct Busy {
    slice_ns: u64,
    since_ns: u64,
    awake_ns: u64,
}

impl Busy {
    /// The thread is awake, and has been since it woke or since the last call; whether it was for more than half of a slice of time.
    pub fn awake(&mut self, now_ns: u64) -> bool {
        self.awake_ns += now_ns.saturating_sub(self.since_ns);
        self.since_ns = now_ns;
        let passed_ns = now_ns.saturating_sub(self.slice_ns);
        if passed_ns < SLICE_NS {
            return false;
        }
        let is_busy = self.awake_ns > passed_ns / 2;
        (self.slice_ns, self.awake_ns) = (now_ns, 0);
        is_busy
    }

    /// The thread slept until now.
    pub fn woke(&mut self, now_ns: u64) {
        self.since_ns = now_ns;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Requests a second, with wake-ups that are late by up to so many ns: the share of requests that were sent on time, and the share of the time that was spun.
    fn driven(rate: u64, mut late_ns: impl FnMut() -> u64, requests: u64) -> (f64, f64) {
        let mut lead = Lead::new(50_000);
        let (mut on_time, mut spun) = (0, 0);
        for n in 1..=requests {
            let own = lead.at((n - 1) * 1_000_000_000 / rate);
            let late_ns = late_ns();
            lead.woken(late_ns);
            let left_ns = own.saturating_sub(late_ns);
            lead.spun(left_ns);
            // The first half is for adapting.
            if n > requests / 2 {
                on_time += u64::from(late_ns <= own);
                spun += left_ns;
            }
            assert!(own <= LONGEST_NS);
        }
        let half = (requests / 2) as f64;
        (on_time as f64 / half, spun as f64 / (half * 1e9 / rate as f64))
    }

    #[test]
    fn it_finds_how_late_a_machine_wakes_its_threads() {
        for worst_ns in [10_000, 60_000, 200_000] {
            let mut random = StdRng::seed_from_u64(7);
            let (on_time, spun) = driven(500, || random.random_range(0..worst_ns), 4000);
            assert!(on_time > 0.98, "{worst_ns}: {on_time}");
            assert!(spun * 500.0 < worst_ns as f64, "{worst_ns}: {spun}");
        }
    }

    #[test]
    fn a_lead_of_nothing_stays_nothing() {
        let mut lead = Lead::new(0);
        lead.woken(1_000_000);
        assert_eq!(lead.at(1_000_000_000), 0);
    }

    #[test]
    fn who_is_awake_more_than_half_of_the_time_is_busy() {
        for (awake_us, is_busy) in [(400, false), (600, true)] {
            let mut busy = Busy::default();
            let told = (0..150).any(|ms| {
                busy.woke(ms * 1_000_000);
                busy.awake(ms * 1_000_000 + awake_us * 1000)
            });
            assert_eq!(told, is_busy, "{awake_us}");
        }
        // One that never sleeps.
        let mut busy = Busy::default();
        assert!((0..=100).any(|ms| busy.awake(ms * 1_000_000)));
    }

    proptest! {
        /// Whatever the machine does, a fifth of the time is spun at most, and what a lead may be at the start.
        #[test]
        fn what_is_spun_is_bounded(rate in 10_u64..100_000, seed in any::<u64>(), worst_ns in 1_u64..1_000_000) {
            let mut random = StdRng::seed_from_u64(seed);
            let (_, spun) = driven(rate, || random.random_range(0..worst_ns), 2000);
            let first = LONGEST_NS as f64 / (1e12 / rate as f64);
            prop_assert!(spun <= 0.2 + first + 1e-6, "{spun}");
        }
    }
}
