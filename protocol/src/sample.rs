//! Raw counters of processes, as the runner reads them. Percentages are computed later, from differences.

use serde::{Deserialize, Serialize};

use crate::ids::Name;

/// The body of SAMPLES: a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// The number of the batch within the attempt, from 0 without gaps: a lost or doubled batch shows.
    pub batch: u64,
    /// The samples, oldest first.
    pub samples: Vec<Sample>,
}

/// The counters of one process at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// When, ns after READY on the runner's monotonic clock.
    pub offset_ns: u64,
    /// The service that the process belongs to.
    pub service: Name,
    /// The process.
    pub pid: u32,
    /// Its start, clock ticks after boot (`/proc/PID/stat` field 22): with the PID it names a process for good.
    pub start_ticks: u64,
    /// User time so far, clock ticks (field 14; guest time included).
    pub user_ticks: u64,
    /// System time so far, clock ticks (field 15).
    pub system_ticks: u64,
    /// Time on a CPU so far of all its threads, ns (`/proc/PID/task/*/schedstat`); `None` where the kernel does not tell.
    pub cpu_ns: Option<u64>,
    /// Resident memory, bytes (field 24 times the page size).
    pub rss_bytes: u64,
}
