//! Parts of a load that is split over several machines.

/// One of several equal parts of the numbers from 0: those that are `index` modulo `of`.
///
/// The parts are disjoint and complete, and numbers are global: a user sends the same requests, and a request has the same scheduled time, on whichever
/// machine. A part is split over threads in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    index: u32,
    of: u32,
}

impl Part {
    /// The whole load.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Part `index`, from 0, of `of` parts; `None`: invalid.
    #[must_use]
    pub const fn new(index: u32, of: u32) -> Option<Self> {
        if index < of { Some(Self { index, of }) } else { None }
    }

    /// The part of one of several threads; the whole if there are none.
    #[must_use]
    pub fn nth(index: usize, of: usize) -> Self {
        let of = u32::try_from(of).unwrap_or(u32::MAX).max(1);
        Self {
            index: u32::try_from(index).unwrap_or(u32::MAX).min(of - 1),
            of,
        }
    }

    /// Whether it contains a number.
    #[must_use]
    pub const fn has(self, number: u64) -> bool {
        number % self.of as u64 == self.index as u64
    }

    /// How many numbers below `total` it contains.
    #[must_use]
    pub const fn count(self, total: u64) -> u64 {
        let (index, of) = (self.index as u64, self.of as u64);
        total / of + if index < total % of { 1 } else { 0 }
    }

    /// Index, from 0.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// Number of parts.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.of
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_are_disjoint_and_complete(of in 1_u32..20, total in 0_u64..500) {
            let parts: Vec<_> = (0..of).map(|index| Part::new(index, of).unwrap()).collect();
            for number in 0..total {
                prop_assert_eq!(parts.iter().filter(|part| part.has(number)).count(), 1);
            }
            for part in &parts {
                prop_assert_eq!(part.count(total), (0..total).filter(|&number| part.has(number)).count() as u64);
            }
            prop_assert_eq!(parts.iter().map(|part| part.count(total)).sum::<u64>(), total);
        }
    }

    #[test]
    fn the_index_is_below_the_number_of_parts() {
        assert_eq!((Part::new(2, 2), Part::new(0, 0)), (None, None));
        assert_eq!(Part::new(0, 1), Some(Part::WHOLE));
    }
}
