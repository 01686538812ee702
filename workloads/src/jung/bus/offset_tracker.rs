//! Tracks the tasks of a partition to determine the offset that may be committed.

use std::collections::BTreeSet;

/// The tasks in flight of one partition, and its read position.
#[derive(Debug, Default)]
pub(super) struct OffsetTracker {
    in_flight: BTreeSet<i64>,
    next: i64,
}

impl OffsetTracker {
    /// Adds a received task.
    pub(super) fn start(&mut self, offset: i64) {
        self.in_flight.insert(offset);
        self.next = self.next.max(offset + 1);
    }

    /// Removes a finished task. Returns the offset before which all tasks are finished, if that has advanced.
    pub(super) fn finish(&mut self, offset: i64) -> Option<i64> {
        let before = self.position();
        self.in_flight.remove(&offset);
        let after = self.position();
        (after > before).then_some(after)
    }

    /// The first offset that was not received.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// The offset before which all tasks are finished.
    fn position(&self) -> i64 {
        self.in_flight.first().copied().unwrap_or(self.next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slow_task_holds_the_position_back() {
        let mut tracker = OffsetTracker::default();
        (5..8).for_each(|offset| tracker.start(offset));
        assert_eq!(tracker.finish(6), None);
        assert_eq!(tracker.finish(5), Some(7));
        assert_eq!(tracker.finish(7), Some(8));
        assert_eq!(tracker.next(), 8);
    }

    proptest! {
        #[test]
        fn all_tasks_before_the_position_are_finished(order in Just((0..40_i64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut tracker = OffsetTracker::default();
            (0..40).for_each(|offset| tracker.start(offset));
            let (mut done, mut last) = (BTreeSet::new(), 0);
            for offset in order {
                done.insert(offset);
                if let Some(position) = tracker.finish(offset) {
                    prop_assert!(position > last);
                    prop_assert!((0..position).all(|before| done.contains(&before)));
                    last = position;
                }
            }
            prop_assert_eq!(last, 40);
        }
    }
}
