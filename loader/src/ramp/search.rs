//! The search for the highest rate that is sustained: pure, rates out, verdicts in.
//!
//! ```text
//!          sustained            not                        close enough            repeats are over
//! Climb ---------------> Climb ------> Bisect --------> .. -----------> Confirm ------------------> Done
//!   |                                    ^  |                            both ends of the bracket,
//!   | the first rate is too much         +--+ half of the bracket        in turn
//!   +-----------------------------------------------------------------------------------------------> Done
//! ```

use protocol::load::Bounds;

/// The search.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    bounds: Bounds,
    state: State,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Climb { rate: f64, held: Option<f64> },
    Bisect { low: f64, high: f64 },
    Confirm { knee: Knee, asked: u32 },
    Done(Option<Knee>),
}

/// The highest rate that was sustained, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knee {
    /// The highest rate that was sustained.
    pub low: f64,
    /// The lowest one above it that was not; `None`: the last rate of the search was sustained, so the knee lies above it.
    pub high: Option<f64>,
    /// How often each end was tried again.
    pub repeats: u32,
    /// How often the lower end was sustained then.
    pub held: u32,
    /// How often the upper end was not.
    pub failed: u32,
}

impl Search {
    /// A search that has not begun.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let state = State::Climb {
            rate: bounds.from,
            held: None,
        };
        Self { bounds, state }
    }

    /// The rate to try next; `None` when the search is over.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        match &self.state {
            State::Climb { rate, .. } => Some(*rate),
            State::Bisect { low, high } => Some(f64::midpoint(*low, *high)),
            State::Confirm { knee, asked } => match knee.high {
                Some(high) if asked % 2 == 1 => Some(high),
                _ => Some(knee.low),
            },
            State::Done(_) => None,
        }
    }

    /// Takes the verdict on the rate that was asked for.
    pub fn answer(&mut self, sustained: bool) {
        let bounds = self.bounds;
        self.state = match std::mem::replace(&mut self.state, State::Done(None)) {
            State::Climb { rate, .. } if sustained && rate >= bounds.to => Self::confirm(bounds, rate, None),
            State::Climb { rate, .. } if sustained => State::Climb {
                rate: (rate + bounds.step).min(bounds.to),
                held: Some(rate),
            },
            State::Climb { rate, held: Some(low) } => Self::bracket(bounds, low, rate),
            State::Climb { held: None, .. } => State::Done(None),
            State::Bisect { low, high } => {
                let middle = f64::midpoint(low, high);
                let (low, high) = if sustained { (middle, high) } else { (low, middle) };
                Self::bracket(bounds, low, high)
            }
            State::Confirm { mut knee, asked } => {
                match knee.high {
                    Some(_) if asked % 2 == 1 => knee.failed += u32::from(!sustained),
                    _ => knee.held += u32::from(sustained),
                }
                // Without an upper end only the lower one is tried again.
                let asked = asked + if knee.high.is_some() { 1 } else { 2 };
                if asked >= 2 * bounds.repeats {
                    State::Done(Some(knee))
                } else {
                    State::Confirm { knee, asked }
                }
            }
            State::Done(knee) => State::Done(knee),
        };
    }

    /// What was found; `None` before the end, and if not even the first rate was sustained.
    #[must_use]
    pub fn knee(&self) -> Option<Knee> {
        match &self.state {
            State::Done(knee) => *knee,
            _ => None,
        }
    }

    fn bracket(bounds: Bounds, low: f64, high: f64) -> State {
        if high - low <= bounds.resolution * high {
            Self::confirm(bounds, low, Some(high))
        } else {
            State::Bisect { low, high }
        }
    }

    fn confirm(bounds: Bounds, low: f64, high: Option<f64>) -> State {
        let knee = Knee {
            low,
            high,
            repeats: bounds.repeats,
            held: 0,
            failed: 0,
        };
        if bounds.repeats == 0 {
            State::Done(Some(knee))
        } else {
            State::Confirm { knee, asked: 0 }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        from: 100.0,
        to: 1000.0,
        step: 100.0,
        resolution: 0.02,
        repeats: 3,
    };

    /// Searches a server of a fixed capacity; the rates that were asked for, and the knee.
    fn search(bounds: Bounds, capacity: f64) -> (Vec<f64>, Option<Knee>) {
        let (mut search, mut asked) = (Search::new(bounds), Vec::new());
        while let Some(rate) = search.next() {
            asked.push(rate);
            search.answer(rate <= capacity);
            assert!(asked.len() < 10_000, "it does not end: {search:?}");
        }
        (asked, search.knee())
    }

    #[test]
    fn a_capacity_is_bracketed_and_confirmed() {
        let (asked, knee) = search(BOUNDS, 437.0);
        assert_eq!(&asked[..6], [100.0, 200.0, 300.0, 400.0, 500.0, 450.0]);
        let knee = knee.unwrap();
        assert!(knee.low <= 437.0 && 437.0 < knee.high.unwrap(), "{knee:?}");
        assert_eq!((knee.repeats, knee.held, knee.failed), (3, 3, 3));
    }

    #[test]
    fn the_ends_of_the_search_are_told_apart() {
        assert_eq!(search(BOUNDS, 50.0), (vec![100.0], None));
        let (asked, knee) = search(BOUNDS, 5000.0);
        assert_eq!(asked.len(), 13);
        assert_eq!(
            knee.map(|knee| (knee.low, knee.high, knee.held)),
            Some((1000.0, None, 3))
        );
    }

    #[test]
    fn a_bracket_that_does_not_hold_is_less_sure() {
        let mut search = Search::new(BOUNDS);
        while !matches!(search.state, State::Confirm { .. }) {
            search.answer(search.next().unwrap() <= 437.0);
        }
        for verdict in [false, false, true, false, true, true] {
            search.answer(verdict);
        }
        let knee = search.knee().unwrap();
        assert_eq!((knee.held, knee.failed), (2, 2));
    }

    proptest! {
        #[test]
        fn the_knee_is_always_within_its_bracket(
            from in 1.0_f64..500.0, steps in 1.0_f64..30.0, width in 0.1_f64..500.0, resolution in 0.005_f64..0.2, repeats in 0_u32..4, at in 0.0_f64..1.2,
        ) {
            let bounds = Bounds { from, to: from + steps * width, step: width, resolution, repeats };
            let capacity = bounds.to * at;
            let (asked, knee) = search(bounds, capacity);
            prop_assert!(asked.len() <= bounds.most() as usize, "{} of {}", asked.len(), bounds.most());
            prop_assert!(asked.iter().all(|rate| (from..=bounds.to).contains(rate)));
            match knee {
                None => prop_assert!(capacity < from),
                Some(Knee { low, high: None, .. }) => prop_assert!(low == bounds.to && capacity >= low),
                Some(Knee { low, high: Some(high), held, failed, .. }) => {
                    prop_assert!(low <= capacity && capacity < high && high - low <= resolution * high);
                    prop_assert_eq!((held, failed), (repeats, repeats));
                }
            }
        }
    }
}
