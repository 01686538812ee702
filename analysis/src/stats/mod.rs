//! The arithmetic behind the report: pure functions, each with its formula and source.
//!
//! n always counts trials, that is fresh deployments; requests within one are not independent of each other (Georges et al. 2007).
//!
//! * [`median`] — the median and its distribution-free interval.
//! * [`bootstrap`] — BCa interval of the mean, percentile interval of a ratio; seeded, so that a report comes out the same again.
//! * [`rank`] — Mann-Whitney's test and Cliff's delta.
//! * [`holm`] — the correction for many tests.
//! * [`trend`] — Mann-Kendall's test for drift.
//! * [`recording`] — raw samples by what was sampled, and their counters as curves; [`family`] — processes that are summed as one.
//! * [`usage`] — CPU and memory of each service; [`ledger`] — where all of the host's went.

pub mod bootstrap;
pub mod describe;
pub mod family;
pub mod holm;
pub mod ledger;
pub mod median;
mod normal;
pub mod rank;
pub mod recording;
pub mod trend;
pub mod usage;

use serde::{Deserialize, Serialize};

/// An interval of confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The confidence it has at least, 0 to 1.
    pub level: f64,
}

/// The values in ascending order.
fn ascending(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}
