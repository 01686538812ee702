//! What happened on the bus, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// The things that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A task was sent whose result is waited for.
    Asked,
    /// A task was sent whose result nobody waits for.
    Told,
    /// A result came in time.
    Answered,
    /// No result came in time.
    TimedOut,
    /// A result came that nobody waits for: too late, twice, or another instance's.
    Stray,
    /// A message was not understood.
    Malformed,
    /// The bus took no more.
    Overloaded,
    /// The broker did not take a message in time.
    Undelivered,
    /// A task was done.
    Done,
    /// A task was read again for what it had changed.
    Replayed,
}

/// How many.
const KINDS: usize = 10;

/// The counts of one process since it came up.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; KINDS]);

/// All counts at one moment, as JSON shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each is said at the variant of Count with its name")]
pub struct Snapshot {
    pub asked: u64,
    pub told: u64,
    pub answered: u64,
    pub timed_out: u64,
    pub stray: u64,
    pub malformed: u64,
    pub overloaded: u64,
    pub undelivered: u64,
    pub done: u64,
    pub replayed: u64,
}

impl Counts {
    /// One more.
    pub fn add(&self, what: Count) {
        self.0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self, what: Count) -> u64 {
        self.0[what as usize].load(Ordering::Relaxed)
    }

    /// All of them.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            asked: self.get(Count::Asked),
            told: self.get(Count::Told),
            answered: self.get(Count::Answered),
            timed_out: self.get(Count::TimedOut),
            stray: self.get(Count::Stray),
            malformed: self.get(Count::Malformed),
            overloaded: self.get(Count::Overloaded),
            undelivered: self.get(Count::Undelivered),
            done: self.get(Count::Done),
            replayed: self.get(Count::Replayed),
        }
    }
}
