//! The batches of samples as they come in: each counted once, in their order.

use protocol::sample::Samples;

/// What has arrived so far.
#[derive(Debug, Default)]
pub struct Batches(Vec<Samples>);

impl Batches {
    /// Takes a batch in; one that came before changes nothing.
    pub fn take(&mut self, samples: Samples) {
        if let Err(place) = self.0.binary_search_by_key(&samples.batch, |known| known.batch) {
            self.0.insert(place, samples);
        }
    }

    /// Whether as many are here as were sent.
    #[must_use]
    pub fn complete(&self, sent: u64) -> bool {
        self.0.len() as u64 >= sent
    }

    /// All of them, by their number.
    #[must_use]
    pub fn as_slice(&self) -> &[Samples] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_comes_twice_counts_once_and_order_does_not_matter() {
        let mut batches = Batches::default();
        let batch = |batch| Samples { batch, samples: vec![] };
        batches.take(batch(1));
        assert!(!batches.complete(2));
        batches.take(batch(0));
        batches.take(batch(1));
        assert!(batches.complete(2) && !batches.complete(3));
        let numbers: Vec<_> = batches.as_slice().iter().map(|batch| batch.batch).collect();
        assert_eq!(numbers, [0, 1]);
    }
}
