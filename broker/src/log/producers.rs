//! Idempotent producers of one partition: the expected sequence numbers and the most recent batches.

use std::collections::{HashMap, VecDeque};

use super::batch::BatchHeader;

/// Batches kept per producer; an idempotent client has at most five requests in flight.
const RECENT_BATCHES: usize = 5;

/// Result of the check of an idempotent producer's batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceCheck {
    /// New and in order, or not idempotent.
    Append,
    /// Already appended, at this offset.
    Duplicate(i64),
    /// A preceding batch is missing.
    OutOfOrder,
    /// The producer has written with a newer epoch.
    Fenced,
}

#[derive(Debug, Clone, Copy)]
struct Batch {
    base_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

#[derive(Debug, Clone)]
struct Producer {
    epoch: i16,
    batches: VecDeque<Batch>,
    last_offset: i64,
}

/// The producers of one partition. An unknown producer may start with any sequence number because its earlier batches
/// may have been deleted with their segment.
#[derive(Debug, Clone)]
pub struct Producers {
    known: HashMap<i64, Producer>,
    limit: usize,
}

impl Producers {
    /// Tracks at most `limit` producers.
    pub fn new(limit: usize) -> Self {
        Producers {
            known: HashMap::new(),
            limit: limit.max(1),
        }
    }

    /// Checks a batch before it is appended.
    pub fn check(&self, batch: &BatchHeader) -> SequenceCheck {
        let Some(producer) = self.known.get(&batch.producer_id) else {
            return SequenceCheck::Append;
        };
        if batch.producer_id < 0 {
            return SequenceCheck::Append;
        }
        if batch.producer_epoch != producer.epoch {
            return producer.check_epoch(batch);
        }
        let same = |b: &&Batch| b.base_sequence == batch.base_sequence && b.last_sequence == batch.last_sequence();
        if let Some(duplicate) = producer.batches.iter().find(same) {
            return SequenceCheck::Duplicate(duplicate.base_offset);
        }
        match producer.batches.back() {
            Some(last) if next_sequence(last.last_sequence) != batch.base_sequence => SequenceCheck::OutOfOrder,
            _ => SequenceCheck::Append,
        }
    }

    /// Records a batch that was appended or read back.
    pub fn record(&mut self, batch: &BatchHeader) {
        if batch.producer_id < 0 {
            return;
        }
        if !self.known.contains_key(&batch.producer_id) && self.known.len() >= self.limit {
            self.evict_oldest();
        }
        let new = || Producer {
            epoch: batch.producer_epoch,
            batches: VecDeque::new(),
            last_offset: 0,
        };
        let producer = self.known.entry(batch.producer_id).or_insert_with(new);
        if producer.epoch != batch.producer_epoch {
            *producer = new();
        }
        if producer.batches.len() == RECENT_BATCHES {
            producer.batches.pop_front();
        }
        producer.last_offset = batch.last_offset();
        producer.batches.push_back(Batch {
            base_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
        });
    }

    fn evict_oldest(&mut self) {
        let oldest = self.known.iter().min_by_key(|(_, p)| p.last_offset).map(|(&id, _)| id);
        if let Some(id) = oldest {
            self.known.remove(&id);
        }
    }
}

impl Producer {
    fn check_epoch(&self, batch: &BatchHeader) -> SequenceCheck {
        match (batch.producer_epoch < self.epoch, batch.base_sequence) {
            (true, _) => SequenceCheck::Fenced,
            (false, 0) => SequenceCheck::Append,
            (false, _) => SequenceCheck::OutOfOrder,
        }
    }
}

fn next_sequence(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, sequence: i32, count: i32, offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset: offset,
            size: 100,
            attributes: 0,
            last_delta: count - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: 7,
            producer_epoch: epoch,
            base_sequence: sequence,
            count,
        }
    }

    #[test]
    fn gaps_and_duplicates_are_detected() {
        let mut producers = Producers::new(10);
        assert_eq!(producers.check(&batch(0, 0, 3, 0)), SequenceCheck::Append);
        producers.record(&batch(0, 0, 3, 100));
        assert_eq!(producers.check(&batch(0, 0, 3, 0)), SequenceCheck::Duplicate(100));
        assert_eq!(producers.check(&batch(0, 3, 1, 0)), SequenceCheck::Append);
        assert_eq!(producers.check(&batch(0, 4, 1, 0)), SequenceCheck::OutOfOrder);
        assert_eq!(producers.check(&batch(0, 0, 2, 0)), SequenceCheck::OutOfOrder);
    }

    #[test]
    fn old_epochs_are_fenced() {
        let mut producers = Producers::new(10);
        producers.record(&batch(1, 0, 1, 0));
        assert_eq!(producers.check(&batch(0, 1, 1, 0)), SequenceCheck::Fenced);
        assert_eq!(producers.check(&batch(2, 1, 1, 0)), SequenceCheck::OutOfOrder);
        assert_eq!(producers.check(&batch(2, 0, 1, 0)), SequenceCheck::Append);
    }

    #[test]
    fn sequence_wraps() {
        let mut producers = Producers::new(10);
        producers.record(&batch(0, i32::MAX - 1, 2, 0));
        assert_eq!(producers.check(&batch(0, 0, 1, 0)), SequenceCheck::Append);
        assert_eq!(batch(0, i32::MAX, 3, 0).last_sequence(), 1);
    }

    #[test]
    fn number_of_producers_is_bounded() {
        let mut producers = Producers::new(2);
        for id in 0..10 {
            producers.record(&BatchHeader {
                producer_id: id,
                ..batch(0, 0, 1, id)
            });
        }
        assert_eq!(producers.known.len(), 2);
        assert!(producers.known.contains_key(&9));
    }
}
