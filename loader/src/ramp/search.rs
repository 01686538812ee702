//! The search for the highest sustained rate. Pure: proposes rates, takes verdicts.
//!
//! ```text
//!          sustained        not sustained                  close enough            repeats done
//! Climb ---------------> Climb ------> Bisect --------> .. -----------> Confirm ------------------> Done
//!   |                                    ^  |                            both ends of the bracket,
//!   | first rate not sustained           +--+ half of the bracket        alternating
//!   +-----------------------------------------------------------------------------------------------> Done
//! ```

use protocol::load::Bounds;

/// The search.
#[derive(Debug, Clone, PartialEq)]
pub struct KneeSearch {
    bounds: Bounds,
    state: State,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Climb { rate: f64, sustained: Option<f64> },
    Bisect { low: f64, high: f64 },
    Confirm { knee: Knee, steps: u32 },
    Done(Option<Knee>),
}

/// The highest sustained rate, and how reproducible it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knee {
    /// The highest sustained rate.
    pub low: f64,
    /// The lowest rate above it that was not sustained; `None`: the highest rate of the search was sustained, so the knee is above it.
    pub high: Option<f64>,
    /// How often each end was measured again.
    pub repeats: u32,
    /// How often the lower end was sustained again.
    pub held: u32,
    /// How often the upper end was not sustained again.
    pub failed: u32,
}

impl KneeSearch {
    /// A new search.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let state = State::Climb {
            rate: bounds.from,
            sustained: None,
        };
        Self { bounds, state }
    }

    /// The next rate to measure; `None`: the search is done.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        match &self.state {
            State::Climb { rate, .. } => Some(*rate),
            State::Bisect { low, high } => Some(f64::midpoint(*low, *high)),
            State::Confirm { knee, steps } => match knee.high {
                Some(high) if steps % 2 == 1 => Some(high),
                _ => Some(knee.low),
            },
            State::Done(_) => None,
        }
    }

    /// Records the verdict on the rate returned by [`Self::next`].
    pub fn record(&mut self, sustained: bool) {
        let bounds = self.bounds;
        self.state = match std::mem::replace(&mut self.state, State::Done(None)) {
            State::Climb { rate, .. } if sustained && rate >= bounds.to => Self::confirm(bounds, rate, None),
            State::Climb { rate, .. } if sustained => State::Climb {
                rate: (rate + bounds.step).min(bounds.to),
                sustained: Some(rate),
            },
            State::Climb {
                rate,
                sustained: Some(low),
            } => Self::bracket(bounds, low, rate),
            State::Climb { sustained: None, .. } => State::Done(None),
            State::Bisect { low, high } => {
                let middle = f64::midpoint(low, high);
                let (low, high) = if sustained { (middle, high) } else { (low, middle) };
                Self::bracket(bounds, low, high)
            }
            State::Confirm { mut knee, steps } => {
                match knee.high {
                    Some(_) if steps % 2 == 1 => knee.failed += u32::from(!sustained),
                    _ => knee.held += u32::from(sustained),
                }
                // Without an upper end only the lower one is measured again.
                let steps = steps + if knee.high.is_some() { 1 } else { 2 };
                if steps >= 2 * bounds.repeats {
                    State::Done(Some(knee))
                } else {
                    State::Confirm { knee, steps }
                }
            }
            State::Done(knee) => State::Done(knee),
        };
    }

    /// The result; `None` before the end, and if the first rate was not sustained.
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
            State::Confirm { knee, steps: 0 }
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

    /// Searches a server of fixed capacity; returns the measured rates and the knee.
    fn search(bounds: Bounds, capacity: f64) -> (Vec<f64>, Option<Knee>) {
        let (mut search, mut rates) = (KneeSearch::new(bounds), Vec::new());
        while let Some(rate) = search.next() {
            rates.push(rate);
            search.record(rate <= capacity);
            assert!(rates.len() < 10_000, "it does not end: {search:?}");
        }
        (rates, search.knee())
    }

    #[test]
    fn a_capacity_is_bracketed_and_confirmed() {
        let (rates, knee) = search(BOUNDS, 437.0);
        assert_eq!(&rates[..6], [100.0, 200.0, 300.0, 400.0, 500.0, 450.0]);
        let knee = knee.unwrap();
        assert!(knee.low <= 437.0 && 437.0 < knee.high.unwrap(), "{knee:?}");
        assert_eq!((knee.repeats, knee.held, knee.failed), (3, 3, 3));
    }

    #[test]
    fn capacities_outside_the_bounds_are_distinguished() {
        assert_eq!(search(BOUNDS, 50.0), (vec![100.0], None));
        let (rates, knee) = search(BOUNDS, 5000.0);
        assert_eq!(rates.len(), 13);
        assert_eq!(
            knee.map(|knee| (knee.low, knee.high, knee.held)),
            Some((1000.0, None, 3))
        );
    }

    #[test]
    fn an_unstable_bracket_is_reported() {
        let mut search = KneeSearch::new(BOUNDS);
        while !matches!(search.state, State::Confirm { .. }) {
            search.record(search.next().unwrap() <= 437.0);
        }
        for verdict in [false, false, true, false, true, true] {
            search.record(verdict);
        }
        let knee = search.knee().unwrap();
        assert_eq!((knee.held, knee.failed), (2, 2));
    }

    proptest! {
        #[test]
        fn the_capacity_is_within_the_bracket(
            from in 1.0_f64..500.0, steps in 1.0_f64..30.0, width in 0.1_f64..500.0, resolution in 0.005_f64..0.2, repeats in 0_u32..4, at in 0.0_f64..1.2,
        ) {
            let bounds = Bounds { from, to: from + steps * width, step: width, resolution, repeats };
            let capacity = bounds.to * at;
            let (rates, knee) = search(bounds, capacity);
            prop_assert!(rates.len() <= bounds.max_steps() as usize, "{} of {}", rates.len(), bounds.max_steps());
            prop_assert!(rates.iter().all(|rate| (from..=bounds.to).contains(rate)));
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
