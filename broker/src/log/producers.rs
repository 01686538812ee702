//! Idempotent producers of one partition: which sequence number comes next, which batches came lately.

use std::collections::{HashMap, VecDeque};

use super::BatchHeader;

/// Batches remembered per producer: a client keeps at most five requests in flight.
const REMEMBERED: usize = 5;

/// What to do with a batch of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// New and in order: append it.
    Append,
    /// It was appended before, at this offset: answer as then.
    Duplicate(i64),
    /// A batch is missing before this one.
    OutOfOrder,
    /// A newer incarnation of the producer has written here.
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

/// The producers of one partition. A producer that is not known may start with any sequence number, because
/// its earlier batches may have been deleted with their segment.
#[derive(Debug, Clone)]
pub struct Producers {
    known: HashMap<i64, Producer>,
    limit: usize,
}

impl Producers {
    /// Remembers at most `limit` producers.
    pub fn new(limit: usize) -> Self {
        Producers {
            known: HashMap::new(),
            limit: limit.max(1),
        }
    }

    /// Judges a batch before it is appended.
    pub fn judge(&self, batch: &BatchHeader) -> Verdict {
        let Some(producer) = self.known.get(&batch.producer_id) else {
            return Verdict::Append;
        };
        if batch.producer_id < 0 {
            return Verdict::Append;
        }
        if batch.producer_epoch != producer.epoch {
            return producer.judge_epoch(batch);
        }
        let same = |b: &&Batch| b.base_sequence == batch.base_sequence && b.last_sequence == batch.last_sequence();
        if let Some(earlier) = producer.batches.iter().find(same) {
            return Verdict::Duplicate(earlier.base_offset);
        }
        match producer.batches.back() {
            Some(last) if next(last.last_sequence) != batch.base_sequence => Verdict::OutOfOrder,
            _ => Verdict::Append,
        }
    }

    /// Remembers a batch that was appended (or read back) with its final offset.
    pub fn appended(&mut self, batch: &BatchHeader) {
        if batch.producer_id < 0 {
            return;
        }
        if !self.known.contains_key(&batch.producer_id) && self.known.len() >= self.limit {
            self.forget_oldest();
        }
        let fresh = || Producer {
            epoch: batch.producer_epoch,
            batches: VecDeque::new(),
            last_offset: 0,
        };
        let producer = self.known.entry(batch.producer_id).or_insert_with(fresh);
        if producer.epoch != batch.producer_epoch {
            *producer = fresh();
        }
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.last_offset = batch.last_offset();
        producer.batches.push_back(Batch {
            base_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
        });
    }

    fn forget_oldest(&mut self) {
        let oldest = self.known.iter().min_by_key(|(_, p)| p.last_offset).map(|(&id, _)| id);
        if let Some(id) = oldest {
            self.known.remove(&id);
        }
    }
}

impl Producer {
    fn judge_epoch(&self, batch: &BatchHeader) -> Verdict {
        match (batch.producer_epoch < self.epoch, batch.base_sequence) {
            (true, _) => Verdict::Fenced,
            (false, 0) => Verdict::Append,
            (false, _) => Verdict::OutOfOrder,
        }
    }
}

/// The sequence number after this one.
fn next(sequence: i32) -> i32 {
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
    fn sequence_is_followed_and_repeats_are_recognised() {
        let mut producers = Producers::new(10);
        assert_eq!(producers.judge(&batch(0, 0, 3, 0)), Verdict::Append);
        producers.appended(&batch(0, 0, 3, 100));
        assert_eq!(producers.judge(&batch(0, 0, 3, 0)), Verdict::Duplicate(100));
        assert_eq!(producers.judge(&batch(0, 3, 1, 0)), Verdict::Append);
        assert_eq!(producers.judge(&batch(0, 4, 1, 0)), Verdict::OutOfOrder);
        assert_eq!(producers.judge(&batch(0, 0, 2, 0)), Verdict::OutOfOrder);
    }

    #[test]
    fn epochs_fence() {
        let mut producers = Producers::new(10);
        producers.appended(&batch(1, 0, 1, 0));
        assert_eq!(producers.judge(&batch(0, 1, 1, 0)), Verdict::Fenced);
        assert_eq!(producers.judge(&batch(2, 1, 1, 0)), Verdict::OutOfOrder);
        assert_eq!(producers.judge(&batch(2, 0, 1, 0)), Verdict::Append);
    }

    #[test]
    fn sequence_wraps() {
        let mut producers = Producers::new(10);
        producers.appended(&batch(0, i32::MAX - 1, 2, 0));
        assert_eq!(producers.judge(&batch(0, 0, 1, 0)), Verdict::Append);
        assert_eq!(batch(0, i32::MAX, 3, 0).last_sequence(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut producers = Producers::new(2);
        for id in 0..10 {
            producers.appended(&BatchHeader {
                producer_id: id,
                ..batch(0, 0, 1, id)
            });
        }
        assert_eq!(producers.known.len(), 2);
        assert!(producers.known.contains_key(&9));
    }
}
