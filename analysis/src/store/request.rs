//! How many requests there were.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use loader::{Counts, Request};

/// How many requests there were. `total` = `ok` + all of `failed`; warm-up stands apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestCounts {
    /// How many were due in the measured window.
    pub planned: u64,
    /// How many of those are recorded.
    pub total: u64,
    /// Replies as expected.
    pub ok: u64,
    /// Failures in the window, by kind.
    pub failed: BTreeMap<String, u64>,
    /// Requests before the window, which count nowhere else.
    pub warm_up: u64,
}

impl RequestCounts {
    /// The counts of a load: of its window, and of the warm-up before it.
    #[must_use]
    pub fn of(window: &Counts, warm_up: &Counts) -> Self {
        Self {
            planned: window.due,
            total: window.succeeded + window.failed(),
            ok: window.succeeded,
            failed: window.errors().map(|(kind, n)| (kind.name().to_owned(), n)).collect(),
            warm_up: warm_up.due,
        }
    }

    /// Counts one more.
    pub fn add(&mut self, record: &Request) {
        if record.warm_up {
            self.warm_up += 1;
            return;
        }
        self.total += 1;
        match record.error {
            None => self.ok += 1,
            Some(kind) => *self.failed.entry(kind.name().to_owned()).or_default() += 1,
        }
    }

    /// All failures in the window.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// The failures' share of the recorded requests, 0 to 1; 0 where there are none.
    #[must_use]
    pub fn failed_share(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        self.failures() as f64 / self.total as f64
    }
}
