//! What the load generator itself took.

use serde::{Deserialize, Serialize};

use loader::{Outcome, Scheduling};

/// What the load generator itself took, over warm-up and window: whether a figure is its own limit rather than the server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorRecord {
    /// Threads that fired.
    pub threads: u32,
    /// Their time on a CPU as a share of the time that passed; 1 is all of them without a pause. What they spin before a request is due is in it.
    pub cpu_share: f64,
    /// Of that what they spent on watching the clock and their sockets while nothing was to be done.
    #[serde(default)]
    pub spun_share: f64,
    /// Time on a CPU without that, of the busiest of them; 1 is a thread that always had something to do.
    pub busiest_share: f64,
    /// The share of the time that they were ready to run and had no CPU.
    pub run_queue_share: f64,
    /// Kept connections that the server closed between two requests.
    pub closed_idle: u64,
    /// Connections that the server left open for half a second although it was asked to close them.
    pub left_open: u64,
    /// How the kernel scheduled its threads; absent of what does not tell, and in older records.
    #[serde(default)]
    pub scheduling: Option<Scheduling>,
}

impl GeneratorRecord {
    /// What a load says of its engine.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        let usage = &outcome.usage;
        Self {
            threads: u32::try_from(outcome.threads).unwrap_or(u32::MAX),
            cpu_share: usage.cpu_share(),
            spun_share: usage.cpu_share() - usage.work_share(),
            busiest_share: usage.busiest_ppm as f64 / 1e6,
            run_queue_share: usage.run_queue_ns as f64 / usage.wall_ns.max(1) as f64,
            closed_idle: outcome.closed_idle,
            left_open: outcome.left_open,
            scheduling: usage.scheduling,
        }
    }
}
