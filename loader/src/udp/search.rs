//! The search for the fastest lossless pace: pure.
//!
//! ```text
//!            lossless                  loss: pace x 4
//!          +----------+               +------------+
//!          v          |               v            |
//! --> Faster ---------+      Slower --+------------+
//!        | ^ first pace lossless  |
//!   loss |                        | lossless
//!        +----------> Between <---+     until both ends are within 5 %, then Confirm: three lossless streams in a row,
//!                                       else confirm a pace 5 % slower
//! ```
//! A stream that the load generator could not send at its pace says nothing about the platform: the search then ends at the fastest pace that could be sent.

use protocol::load::{SearchLimit, SearchStats, SearchStep};

/// Ratio of both ends at which the bracket is narrow enough.
const PRECISION: f64 = 1.05;
/// Lossless streams in a row that confirm a pace.
const CONFIRMATIONS: u32 = 3;
/// The fastest pace, ns.
const FASTEST_NS: u64 = 100;
/// The slowest pace, ns.
const SLOWEST_NS: u64 = 10_000_000;
/// The load generator kept the pace if sending took at most this factor longer.
const PACE_TOLERANCE: f64 = 1.05;

/// The search.
#[derive(Debug)]
pub struct PaceSearch {
    /// The next pace; `None`: the search is done.
    next: Option<u64>,
    /// The fastest lossless pace.
    lossless: Option<u64>,
    /// The slowest pace with loss, or that could not be sent.
    lossy: Option<u64>,
    confirmed: u32,
    limit: SearchLimit,
    /// Whether the load generator is the limit.
    generator: bool,
    steps: Vec<SearchStep>,
}

impl PaceSearch {
    /// A search that begins at this pace, ns.
    pub fn new(pace_ns: u64) -> Self {
        Self {
            next: Some(pace_ns.clamp(FASTEST_NS, SLOWEST_NS)),
            lossless: None,
            lossy: None,
            confirmed: 0,
            limit: SearchLimit::Time,
            generator: false,
            steps: Vec::new(),
        }
    }

    /// The pace of the next stream; `None`: the search is done.
    pub fn next_pace(&self) -> Option<u64> {
        self.next
    }

    /// Records a stream at that pace.
    pub fn record(&mut self, step: SearchStep) {
        self.steps.push(step);
        if step.lost > 0 {
            // Earlier lossless streams at this or a faster pace were luck.
            self.lossless = self.lossless.filter(|&lossless| lossless > step.pace_ns);
            self.lossy = Some(self.lossy.map_or(step.pace_ns, |lossy| lossy.max(step.pace_ns)));
            self.confirmed = 0;
        } else if kept_pace(&step) {
            self.lossless = Some(step.pace_ns);
        } else {
            self.generator = true;
            self.lossy = Some(self.lossy.map_or(step.pace_ns, |lossy| lossy.max(step.pace_ns)));
        }
        self.next = self.choose(&step);
    }

    fn choose(&mut self, step: &SearchStep) -> Option<u64> {
        match (self.lossless, self.lossy) {
            (None, Some(lossy)) if self.was_lossless(lossy) => Some(scaled(lossy, PRECISION)),
            (None, lossy) => {
                let slower = lossy.unwrap_or(step.pace_ns).saturating_mul(4);
                if slower > SLOWEST_NS {
                    self.limit = SearchLimit::Loss;
                    return None;
                }
                Some(slower)
            }
            (Some(lossless), None) if lossless == FASTEST_NS => self.confirm(step),
            (Some(lossless), None) => Some((lossless / 2).max(FASTEST_NS)),
            (Some(lossless), Some(lossy)) if lossless as f64 > lossy as f64 * PRECISION && lossless > lossy + 1 => {
                Some(geometric_mean(lossy, lossless))
            }
            (Some(_), Some(_)) => self.confirm(step),
        }
    }

    /// Whether a pace at least as fast was lossless before, so that a slightly slower one is worth trying.
    fn was_lossless(&self, lossy: u64) -> bool {
        self.steps
            .iter()
            .any(|step| step.lost == 0 && kept_pace(step) && step.pace_ns <= lossy)
            && scaled(lossy, PRECISION) <= SLOWEST_NS
    }

    fn confirm(&mut self, step: &SearchStep) -> Option<u64> {
        let lossless = self.lossless?;
        if step.pace_ns == lossless {
            self.confirmed += 1;
        } else {
            self.confirmed = 1;
        }
        if self.confirmed < CONFIRMATIONS {
            return Some(lossless);
        }
        self.limit = if self.generator || lossless == FASTEST_NS {
            SearchLimit::Generator
        } else {
            SearchLimit::Loss
        };
        None
    }

    /// The result so far.
    pub fn stats(self) -> SearchStats {
        SearchStats {
            pace_ns: self.lossless,
            limit: self.limit,
            steps: self.steps,
        }
    }
}

/// Whether the load generator sent a stream at its pace.
fn kept_pace(step: &SearchStep) -> bool {
    let requested = step.pace_ns.saturating_mul(step.sent.saturating_sub(1));
    step.sending_ns as f64 <= requested as f64 * PACE_TOLERANCE
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between its two ends, which are paces"
)]
fn geometric_mean(a: u64, b: u64) -> u64 {
    ((a as f64 * b as f64).sqrt() as u64).clamp(a + 1, b - 1)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive pace below 20 ms"
)]
fn scaled(pace: u64, by: f64) -> u64 {
    ((pace as f64 * by) as u64).max(pace + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches with a platform that loses packets below one pace and a load generator that cannot send faster than another.
    fn search(from: u64, platform: u64, generator: u64) -> SearchStats {
        let mut search = PaceSearch::new(from);
        let mut streams = 0;
        while let Some(pace_ns) = search.next_pace() {
            streams += 1;
            assert!(streams < 100, "{:?}", search.steps);
            let real = pace_ns.max(generator);
            search.record(SearchStep {
                pace_ns,
                sent: 1001,
                lost: u64::from(real < platform),
                dropped: None,
                sending_ns: real * 1000,
            });
        }
        search.stats()
    }

    proptest! {
        #[test]
        fn the_fastest_lossless_pace_is_found(from in 0_u64..100_000, platform in 200_u64..1_000_000) {
            let found = search(from, platform, 0);
            let pace = found.pace_ns.unwrap();
            prop_assert!(pace >= platform && pace as f64 <= platform as f64 * 1.11, "{pace}");
            prop_assert_eq!(found.limit, SearchLimit::Loss);
            prop_assert!(found.steps.len() < 40);
        }

        #[test]
        fn a_limit_of_the_load_generator_is_reported(from in 0_u64..100_000, generator in 300_u64..50_000) {
            let found = search(from, generator / 2, generator);
            let pace = found.pace_ns.unwrap();
            prop_assert_eq!(found.limit, SearchLimit::Generator);
            prop_assert!(pace as f64 >= generator as f64 / 1.06 && pace as f64 <= generator as f64 * 1.11, "{pace} {generator}");
        }

        /// For any sequence of losses.
        #[test]
        fn the_search_ends(from in 0_u64..100_000, losses in prop::collection::vec(any::<bool>(), 400)) {
            let mut search = PaceSearch::new(from);
            for lost in losses {
                let Some(pace_ns) = search.next_pace() else { break };
                prop_assert!((FASTEST_NS..=SLOWEST_NS).contains(&pace_ns));
                let step = SearchStep { pace_ns, sent: 11, lost: u64::from(lost), dropped: None, sending_ns: pace_ns * 10 };
                search.record(step);
            }
        }
    }

    #[test]
    fn a_platform_that_always_loses_packets_has_no_lossless_pace() {
        let found = search(2000, u64::MAX, 0);
        assert_eq!(found.pace_ns, None);
        assert!(found.steps.len() < 20);
    }
}
