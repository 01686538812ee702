//! One request as it is kept: the raw material of every latency figure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One request. All times are ns since the load's origin on the controller's monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// When it was due.
    pub intended_ns: u64,
    /// When the generator began it (connect, or write on a connection that was open); `None`: it never could.
    pub sent_ns: Option<u64>,
    /// When its connection was established; `None`: it was open already, or never came.
    pub connected_ns: Option<u64>,
    /// When the first byte of the reply came; `None`: none did.
    pub first_byte_ns: Option<u64>,
    /// When it ended, well or not.
    pub done_ns: u64,
    /// The status of the reply; 0: none.
    pub status: u16,
    /// Bytes received, headers included.
    pub bytes_in: u64,
    /// Bytes sent, headers included.
    pub bytes_out: u64,
    /// The generator's thread, from 0.
    pub thread: u8,
    /// The number of its connection in the thread, from 0.
    pub connection: u32,
    /// Why it counts as failed, a word such as `timeout`; `None`: the reply was as expected.
    pub error: Option<Cow<'static, str>>,
    /// Whether it was due before the measured window.
    pub warm_up: bool,
}

impl RequestRecord {
    /// From when it was due to its end, ns.
    #[must_use]
    pub const fn response_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.intended_ns)
    }

    /// From when it was begun to its end, ns.
    #[must_use]
    pub fn service_ns(&self) -> Option<u64> {
        self.sent_ns.map(|sent| self.done_ns.saturating_sub(sent))
    }

    /// From when it was due to when it was begun, ns: the generator's own delay.
    #[must_use]
    pub fn lag_ns(&self) -> Option<u64> {
        self.sent_ns.map(|sent| sent.saturating_sub(self.intended_ns))
    }

    /// How long the connection took, ns.
    #[must_use]
    pub fn connect_ns(&self) -> Option<u64> {
        Some(self.connected_ns?.saturating_sub(self.sent_ns?))
    }
}

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
    /// Counts records against what was planned.
    #[must_use]
    pub fn of(records: impl IntoIterator<Item = RequestRecord>, planned: u64) -> Self {
        let mut counts = Self {
            planned,
            ..Self::default()
        };
        for record in records {
            counts.add(&record);
        }
        counts
    }

    /// Counts one more.
    pub fn add(&mut self, record: &RequestRecord) {
        if record.warm_up {
            self.warm_up += 1;
            return;
        }
        self.total += 1;
        match &record.error {
            None => self.ok += 1,
            Some(kind) => *self.failed.entry(kind.to_string()).or_default() += 1,
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
