//! Counters of the bus.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// The counted events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A task was sent whose result is awaited.
    Requested,
    /// A task was sent without waiting for a result.
    Sent,
    /// A result was received in time.
    Answered,
    /// No result was received in time.
    TimedOut,
    /// A result was received that is not awaited: late, duplicate, or another instance's.
    Unexpected,
    /// A message was invalid.
    Malformed,
    /// A send queue was full.
    Overloaded,
    /// A message was not delivered to the broker in time.
    Undelivered,
    /// A task was processed.
    Processed,
    /// A task was replayed to recover state.
    Replayed,
}

/// Number of variants of [`Count`].
const VARIANTS: usize = 10;

/// The counters of this process.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; VARIANTS]);

/// The values of all counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "see the variants of Count")]
pub struct Snapshot {
    #[serde(rename = "asked")]
    pub requested: u64,
    #[serde(rename = "told")]
    pub sent: u64,
    pub answered: u64,
    pub timed_out: u64,
    #[serde(rename = "stray")]
    pub unexpected: u64,
    pub malformed: u64,
    pub overloaded: u64,
    pub undelivered: u64,
    #[serde(rename = "done")]
    pub processed: u64,
    pub replayed: u64,
}

impl Counts {
    /// Increments a counter.
    pub fn add(&self, count: Count) {
        self.0[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The value of a counter.
    #[must_use]
    pub fn get(&self, count: Count) -> u64 {
        self.0[count as usize].load(Ordering::Relaxed)
    }

    /// The values of all counters.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            requested: self.get(Count::Requested),
            sent: self.get(Count::Sent),
            answered: self.get(Count::Answered),
            timed_out: self.get(Count::TimedOut),
            unexpected: self.get(Count::Unexpected),
            malformed: self.get(Count::Malformed),
            overloaded: self.get(Count::Overloaded),
            undelivered: self.get(Count::Undelivered),
            processed: self.get(Count::Processed),
            replayed: self.get(Count::Replayed),
        }
    }
}
