//! The standard normal distribution.

use statrs::distribution::{ContinuousCDF, Normal};

/// The probability of a value up to `z`.
pub(super) fn cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The value that is not exceeded with probability `p`, 0 < p < 1.
pub(super) fn quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}
