//! Which trial comes next, and when an invalid one is tried again: at the end of its block, so that blocks stay what they are.

use std::collections::VecDeque;

/// A trial that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// The position of the trial in the plan, from 0.
    pub index: u32,
    /// Its block, from 1.
    pub block: u32,
    /// The number of the attempt that comes next, from 1.
    pub attempt: u32,
    /// How many attempts came to an end before it; one that a crash cut short has a number and does not count.
    pub used: u32,
}

/// What is known of a trial from before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The highest number of an attempt that was begun.
    pub last_attempt: u32,
    /// Attempts that came to an end.
    pub used: u32,
    /// Whether one of them counts.
    pub done: bool,
}

/// The trials that are still to be done, in order.
#[derive(Clone, Debug)]
pub struct Queue {
    waiting: VecDeque<Task>,
    max_attempts: u32,
}

impl Queue {
    /// The trials of a plan, given by their blocks in order, less what is done. A trial whose attempts were used up before gets no more.
    #[must_use]
    pub fn new(blocks: &[u32], past: impl Fn(u32) -> Past, max_attempts: u32) -> Self {
        let waiting = (0..).zip(blocks).filter_map(|(index, &block)| {
            let past = past(index);
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

    /// Takes the next trial out.
    pub fn take(&mut self) -> Option<Task> {
        self.waiting.pop_front()
    }

    /// Puts a trial back behind the last one of its block; `false`: its attempts are used up.
    pub fn again(&mut self, task: Task) -> bool {
        if task.used + 1 >= self.max_attempts {
            return false;
        }
        let behind = self
            .waiting
            .iter()
            .rposition(|other| other.block <= task.block)
            .map_or(0, |at| at + 1);
        self.waiting.insert(
            behind,
            Task {
                attempt: task.attempt + 1,
                used: task.used + 1,
                ..task
            },
        );
        true
    }

    /// Those that wait.
    pub fn waiting(&self) -> impl Iterator<Item = &Task> {
        self.waiting.iter()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCKS: [u32; 6] = [1, 1, 1, 2, 2, 2];

    fn fresh(max: u32) -> Queue {
        Queue::new(&BLOCKS, |_| Past::default(), max)
    }

    #[test]
    fn an_invalid_trial_comes_again_at_the_end_of_its_block() {
        let mut queue = fresh(2);
        let first = queue.take().unwrap();
        assert!(queue.again(first));
        let order: Vec<_> = std::iter::from_fn(|| queue.take())
            .map(|task| (task.index, task.attempt))
            .collect();
        assert_eq!(order, [(1, 1), (2, 1), (0, 2), (3, 1), (4, 1), (5, 1)]);
    }

    #[test]
    fn attempts_are_used_up() {
        let mut queue = fresh(1);
        let first = queue.take().unwrap();
        assert!(!queue.again(first));
        assert_eq!(queue.len(), 5);
    }

    #[test]
    fn what_was_done_before_is_not_done_again() {
        let past = |index| match index {
            0 => Past {
                last_attempt: 1,
                used: 1,
                done: true,
            },
            1 => Past {
                last_attempt: 2,
                used: 1,
                done: false,
            },
            2 => Past {
                last_attempt: 3,
                used: 3,
                done: false,
            },
            _ => Past::default(),
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
        /// Whatever fails, no trial has more attempts than allowed, and a block is over before the next begins.
        #[test]
        fn blocks_stay_whole(failures in proptest::collection::vec(any::<bool>(), 0..60), max in 1u32..4) {
            let mut queue = fresh(max);
            let mut failures = failures.into_iter();
            let (mut last_block, mut attempts) = (0, [0; 6]);
            while let Some(task) = queue.take() {
                prop_assert!(task.block >= last_block);
                last_block = task.block;
                attempts[task.index as usize] += 1;
                prop_assert_eq!(attempts[task.index as usize], task.attempt);
                if failures.next().unwrap_or(false) {
                    prop_assert_eq!(queue.again(task), task.attempt < max);
                }
            }
            prop_assert!(attempts.iter().all(|&n| (1..=max).contains(&n)));
        }
    }
}
