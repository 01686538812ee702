//! Which tasks of a partition are done: the position that may be committed.

use std::collections::BTreeSet;

/// The tasks of one partition that are being done, and how far the partition has been read.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: BTreeSet<i64>,
    next: i64,
}

impl Ledger {
    /// A task was taken.
    pub(super) fn take(&mut self, offset: i64) {
        self.open.insert(offset);
        self.next = self.next.max(offset + 1);
    }

    /// A task is done. Returns the position before which everything is done, if that has moved.
    pub(super) fn done(&mut self, offset: i64) -> Option<i64> {
        let before = self.position();
        self.open.remove(&offset);
        let after = self.position();
        (after > before).then_some(after)
    }

    /// The first offset that has not been taken.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Everything before it is done.
    fn position(&self) -> i64 {
        self.open.first().copied().unwrap_or(self.next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slow_task_holds_the_position() {
        let mut ledger = Ledger::default();
        (5..8).for_each(|offset| ledger.take(offset));
        assert_eq!(ledger.done(6), None);
        assert_eq!(ledger.done(5), Some(7));
        assert_eq!(ledger.done(7), Some(8));
        assert_eq!(ledger.next(), 8);
    }

    proptest! {
        #[test]
        fn nothing_undone_is_ever_before_the_position(order in Just((0..40_i64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut ledger = Ledger::default();
            (0..40).for_each(|offset| ledger.take(offset));
            let (mut done, mut last) = (BTreeSet::new(), 0);
            for offset in order {
                done.insert(offset);
                if let Some(position) = ledger.done(offset) {
                    prop_assert!(position > last);
                    prop_assert!((0..position).all(|before| done.contains(&before)));
                    last = position;
                }
            }
            prop_assert_eq!(last, 40);
        }
    }
}
