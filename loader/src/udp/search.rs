//! The search for the fastest pace without loss: pure.
//!
//! ```text
//!            lossless                  loss: pace x 4
//!          +----------+               +------------+
//!          v          |               v            |
//! --> Faster ---------+      Slower --+------------+
//!        | ^ first pace lossless  |
//!   loss |                        | lossless
//!        +----------> Between <---+     until both ends are within 5 %, then Confirm: three times lossless in a row,
//!                                       or a pace 5 % slower is confirmed
//! ```
//! A stream that the generator could not send at its pace proves nothing about the platform: the search then ends at what could be sent.

use protocol::load::{SearchFigures, SearchLimit, SearchStep};

/// Both ends are near enough at this ratio.
const NEAR: f64 = 1.05;
/// Streams without loss in a row that confirm a pace.
const CONFIRMATIONS: u32 = 3;
/// Nothing faster is tried, ns.
const FASTEST_NS: u64 = 100;
/// Nothing slower is tried, ns.
const SLOWEST_NS: u64 = 10_000_000;
/// The generator kept the pace if sending took at most this much longer.
const KEPT: f64 = 1.05;

/// A search.
#[derive(Debug)]
pub struct Search {
    /// The next pace to try; `None`: the search is over.
    next: Option<u64>,
    /// The fastest pace that lost nothing.
    lossless: Option<u64>,
    /// The slowest pace that lost something, or could not be sent.
    lossy: Option<u64>,
    confirmed: u32,
    limit: SearchLimit,
    /// Whether nothing faster can be sent.
    generator: bool,
    steps: Vec<SearchStep>,
}

impl Search {
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

    /// The pace of the next stream; `None`: it is over.
    pub fn next_pace(&self) -> Option<u64> {
        self.next
    }

    /// A stream at that pace is over.
    pub fn tried(&mut self, step: SearchStep) {
        self.steps.push(step);
        if step.lost > 0 {
            // What was confirmed so far was luck.
            self.lossless = self.lossless.filter(|&lossless| lossless > step.pace_ns);
            self.lossy = Some(self.lossy.map_or(step.pace_ns, |lossy| lossy.max(step.pace_ns)));
            self.confirmed = 0;
        } else if kept(&step) {
            self.lossless = Some(step.pace_ns);
        } else {
            self.generator = true;
            self.lossy = Some(self.lossy.map_or(step.pace_ns, |lossy| lossy.max(step.pace_ns)));
        }
        self.next = self.choose(&step);
    }

    fn choose(&mut self, step: &SearchStep) -> Option<u64> {
        match (self.lossless, self.lossy) {
            (None, Some(lossy)) if self.confirmable(lossy) => Some(scaled(lossy, NEAR)),
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
            (Some(lossless), Some(lossy)) if lossless as f64 > lossy as f64 * NEAR && lossless > lossy + 1 => {
                Some(middle(lossy, lossless))
            }
            (Some(_), Some(_)) => self.confirm(step),
        }
    }

    /// Whether a pace was lossless a moment ago, so that one slightly slower is worth a try.
    fn confirmable(&self, lossy: u64) -> bool {
        self.steps
            .iter()
            .any(|step| step.lost == 0 && kept(step) && step.pace_ns <= lossy)
            && scaled(lossy, NEAR) <= SLOWEST_NS
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

    /// What was found until now.
    pub fn figures(self) -> SearchFigures {
        SearchFigures {
            pace_ns: self.lossless,
            limit: self.limit,
            steps: self.steps,
        }
    }
}

/// Whether the generator sent a stream at its pace.
fn kept(step: &SearchStep) -> bool {
    let ordered = step.pace_ns.saturating_mul(step.sent.saturating_sub(1));
    step.sending_ns as f64 <= ordered as f64 * KEPT
}

/// The geometric mean.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between its two ends, which are paces"
)]
fn middle(a: u64, b: u64) -> u64 {
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

    /// Searches on a platform that loses packets below one pace, with a generator that cannot go below another.
    fn search(from: u64, platform: u64, generator: u64) -> SearchFigures {
        let mut search = Search::new(from);
        let mut streams = 0;
        while let Some(pace_ns) = search.next_pace() {
            streams += 1;
            assert!(streams < 100, "{:?}", search.steps);
            let real = pace_ns.max(generator);
            search.tried(SearchStep {
                pace_ns,
                sent: 1001,
                lost: u64::from(real < platform),
                dropped: None,
                sending_ns: real * 1000,
            });
        }
        search.figures()
    }

    proptest! {
        #[test]
        fn the_edge_is_found(from in 0_u64..100_000, platform in 200_u64..1_000_000) {
            let found = search(from, platform, 0);
            let pace = found.pace_ns.unwrap();
            prop_assert!(pace >= platform && pace as f64 <= platform as f64 * 1.11, "{pace}");
            prop_assert_eq!(found.limit, SearchLimit::Loss);
            prop_assert!(found.steps.len() < 40);
        }

        #[test]
        fn a_generator_that_is_the_limit_is_told(from in 0_u64..100_000, generator in 300_u64..50_000) {
            let found = search(from, generator / 2, generator);
            let pace = found.pace_ns.unwrap();
            prop_assert_eq!(found.limit, SearchLimit::Generator);
            prop_assert!(pace as f64 >= generator as f64 / 1.06 && pace as f64 <= generator as f64 * 1.11, "{pace} {generator}");
        }

        /// Whatever the platform does, the search ends.
        #[test]
        fn chance_does_not_keep_it_going(from in 0_u64..100_000, luck in prop::collection::vec(any::<bool>(), 400)) {
            let mut search = Search::new(from);
            for lost in luck {
                let Some(pace_ns) = search.next_pace() else { break };
                prop_assert!((FASTEST_NS..=SLOWEST_NS).contains(&pace_ns));
                let step = SearchStep { pace_ns, sent: 11, lost: u64::from(lost), dropped: None, sending_ns: pace_ns * 10 };
                search.tried(step);
            }
        }
    }

    #[test]
    fn a_platform_that_always_loses_has_no_pace() {
        let found = search(2000, u64::MAX, 0);
        assert_eq!(found.pace_ns, None);
        assert!(found.steps.len() < 20);
    }
}
