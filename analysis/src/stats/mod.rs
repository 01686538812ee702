//! Statistics and resource usage: pure functions, each with its formula and source.
//!
//! n always counts trials (fresh deployments); requests within one trial are not independent (Georges et al. 2007).
//!
//! * [`describe`] — mean, standard deviation, median and its distribution-free confidence interval.
//! * [`bootstrap`] — BCa interval of the mean, percentile interval of a ratio; seeded.
//! * [`hypothesis`] — Mann-Whitney test, Cliff's delta, Holm's correction, Mann-Kendall test for drift.
//! * [`recording`] — raw samples by subject, and counters as time series; [`process_group`] — processes that are summed.
//! * [`usage`] — CPU and memory of each service; [`breakdown`] — of the whole host.

pub mod bootstrap;
pub mod breakdown;
pub mod describe;
pub mod hypothesis;
pub mod process_group;
pub mod recording;
pub mod usage;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Its confidence level, 0 to 1.
    pub level: f64,
}

/// The values in ascending order.
fn ascending(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The cumulative distribution function of the standard normal distribution.
fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The quantile function of the standard normal distribution, 0 < p < 1.
fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}
