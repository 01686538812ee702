//! The order of trials. An invalid trial is retried at the end of its block, so that blocks stay complete.

use std::collections::VecDeque;

/// A queued trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// The position of the trial in the plan, from 0.
    pub index: u32,
    /// Its block, from 1.
    pub block: u32,
    /// The number of the next attempt, from 1.
    pub attempt: u32,
    /// Completed attempts; attempts interrupted by a crash have a number but do not count.
    pub used: u32,
}

/// The history of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The highest attempt number used.
    pub last_attempt: u32,
    /// Completed attempts.
    pub used: u32,
    /// Whether an attempt counts.
    pub done: bool,
}

/// The remaining trials, in order.
#[derive(Clone, Debug)]
pub struct Queue {
    waiting: VecDeque<Task>,
    max_attempts: u32,
}

impl Queue {
    /// The trials of a plan, given by their blocks in order, less those that are done or have used up their attempts.
    #[must_use]
    pub fn new(blocks: &[u32], history: impl Fn(u32) -> History, max_attempts: u32) -> Self {
        let waiting = (0..).zip(blocks).filter_map(|(index, &block)| {
            let past = history(index);
            let open = !past.done && past.used < max_attempts;
            open.then_some(Task {
                index,
                block,
                attempt: past.last_attempt + 1,
                used: past.used,
            })
        });
        Self {
            waiting: waiting.collect(),
            max_attempts,
        }
    }

    /// Removes the next trial.
    pub fn take(&mut self) -> Option<Task> {
        self.waiting.pop_front()
    }

    /// Reinserts a trial after the last one of its block; `false`: its attempts are used up.
    pub fn retry(&mut self, task: Task) -> bool {
        if task.used + 1 >= self.max_attempts {
            return false;
        }
        let position = self
            .waiting
            .iter()
            .rposition(|other| other.block <= task.block)
            .map_or(0, |at| at + 1);
        self.waiting.insert(
            position,
            Task {
                attempt: task.attempt + 1,
                used: task.used + 1,
                ..task
            },
        );
        true
    }

    /// The queued trials.
    pub fn waiting(&self) -> impl Iterator<Item = &Task> {
        self.waiting.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCKS: [u32; 6] = [1, 1, 1, 2, 2, 2];

    fn fresh(max: u32) -> Queue {
        Queue::new(&BLOCKS, |_| History::default(), max)
    }

    #[test]
    fn an_invalid_trial_is_retried_at_the_end_of_its_block() {
        let mut queue = fresh(2);
        let first = queue.take().unwrap();
        assert!(queue.retry(first));
        let order: Vec<_> = std::iter::from_fn(|| queue.take())
            .map(|task| (task.index, task.attempt))
            .collect();
        assert_eq!(order, [(1, 1), (2, 1), (0, 2), (3, 1), (4, 1), (5, 1)]);
    }

    #[test]
    fn attempts_are_limited() {
        let mut queue = fresh(1);
        let first = queue.take().unwrap();
        assert!(!queue.retry(first));
        assert_eq!(queue.waiting().count(), 5);
    }

    #[test]
    fn completed_trials_are_not_repeated() {
        let past = |index| match index {
            0 => History {
                last_attempt: 1,
                used: 1,
                done: true,
            },
            1 => History {
                last_attempt: 2,
                used: 1,
                done: false,
            },
            2 => History {
                last_attempt: 3,
                used: 3,
                done: false,
            },
            _ => History::default(),
        };
        let mut queue = Queue::new(&BLOCKS, past, 3);
        assert_eq!(
            queue.take(),
            Some(Task {
                index: 1,
                block: 1,
                attempt: 3,
                used: 1
            })
        );
        assert_eq!(queue.take().unwrap().index, 3);
    }

    proptest! {
        /// Whatever fails, no trial exceeds its attempts, and a block ends before the next one begins.
        #[test]
        fn blocks_stay_complete(failures in proptest::collection::vec(any::<bool>(), 0..60), max in 1u32..4) {
            let mut queue = fresh(max);
            let mut failures = failures.into_iter();
            let (mut last_block, mut attempts) = (0, [0; 6]);
            while let Some(task) = queue.take() {
                prop_assert!(task.block >= last_block);
                last_block = task.block;
                attempts[task.index as usize] += 1;
                prop_assert_eq!(attempts[task.index as usize], task.attempt);
                if failures.next().unwrap_or(false) {
                    prop_assert_eq!(queue.retry(task), task.attempt < max);
                }
            }
            prop_assert!(attempts.iter().all(|&n| (1..=max).contains(&n)));
        }
    }
}
