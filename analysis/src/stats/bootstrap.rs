//! Bootstrap confidence intervals over trials. The random generator is seeded, so the same trials always give the same interval.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::describe::{LEVEL, mean, median};
use super::{Interval, ascending, normal_cdf, normal_quantile};

/// Number of resamples.
pub const RESAMPLES: usize = 9_999;

/// The BCa confidence interval of the mean (Efron 1987: bias-corrected and accelerated); `None` for fewer than two values, or if all are equal.
///
/// With the bias `z0` (from the share of resampled means below the mean, ties counted half) and the acceleration `a` (from the jackknife),
/// the ends are the quantiles `Phi(z0 + (z0 + z) / (1 - a (z0 + z)))` of the resampled means, z being -1.96 and 1.96.
#[must_use]
pub fn mean_interval(values: &[f64], seed: u64) -> Option<Interval> {
    let center = mean(values).filter(|_| values.len() > 1)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let means: Vec<f64> = (0..RESAMPLES).map(|_| resampled_mean(values, &mut rng)).collect();
    let means = ascending(&means);
    let bias = normal_quantile(share_below(&means, center)?);
    let acceleration = acceleration(values)?;
    let end = |p: f64| {
        let z = bias + normal_quantile(p);
        quantile(&means, normal_cdf(bias + z / (1.0 - acceleration * z)))
    };
    Some(Interval {
        low: end((1.0 - LEVEL) / 2.0),
        high: end(f64::midpoint(1.0, LEVEL)),
        level: LEVEL,
    })
}

/// The percentile bootstrap interval of `median(a) / median(b)`, each resampled separately; `None` if either has fewer than six values, or if
/// `b` has a value that is not positive.
#[must_use]
pub fn ratio_interval(a: &[f64], b: &[f64], seed: u64) -> Option<Interval> {
    const MIN_TRIALS: usize = 6;
    if a.len() < MIN_TRIALS || b.len() < MIN_TRIALS || b.iter().any(|&x| x <= 0.0) {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let pair = (resampled(a, &mut rng), resampled(b, &mut rng));
            median(&pair.0).unwrap_or(0.0) / median(&pair.1).unwrap_or(1.0)
        })
        .collect();
    let ratios = ascending(&ratios);
    Some(Interval {
        low: quantile(&ratios, (1.0 - LEVEL) / 2.0),
        high: quantile(&ratios, f64::midpoint(1.0, LEVEL)),
        level: LEVEL,
    })
}

fn resampled(values: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    values
        .iter()
        .map(|_| values[rng.random_range(0..values.len())])
        .collect()
}

fn resampled_mean(values: &[f64], rng: &mut ChaCha8Rng) -> f64 {
    let sum: f64 = values.iter().map(|_| values[rng.random_range(0..values.len())]).sum();
    sum / values.len() as f64
}

/// The share of sorted values below `center`, ties counted half; `None` if it is 0 or 1, for which there is no normal quantile.
fn share_below(sorted: &[f64], center: f64) -> Option<f64> {
    let below = sorted.partition_point(|&x| x < center);
    let not_above = sorted.partition_point(|&x| x <= center);
    let share = (below + not_above) as f64 / 2.0 / sorted.len() as f64;
    (share > 0.0 && share < 1.0).then_some(share)
}

/// `sum d^3 / (6 (sum d^2)^1.5)`, d being the mean of the leave-one-out means minus each; `None` if all values are equal.
fn acceleration(values: &[f64]) -> Option<f64> {
    let (n, sum) = (values.len() as f64, values.iter().sum::<f64>());
    let center = sum / n;
    let differences = values.iter().map(|x| center - (sum - x) / (n - 1.0));
    let (squares, cubes) = differences.fold((0.0, 0.0), |(s, c), d| (s + d * d, c + d * d * d));
    let alike = squares <= (center.abs() * 1e-12).powi(2);
    (!alike).then(|| cubes / (6.0 * f64::powf(squares, 1.5)))
}

/// The quantile of sorted values by linear interpolation (type 7 of Hyndman and Fan 1996).
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let below = at.floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 <= below < len"
    )]
    let index = below as usize;
    let next = sorted[(index + 1).min(sorted.len() - 1)];
    sorted[index] + (next - sorted[index]) * (at - below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_interval_of_the_mean_matches_scipy() {
        // scipy.stats.bootstrap(([..],), numpy.mean, n_resamples=100000, method="BCa"): 1.106, 2.712; resampling error about 0.01, 0.05.
        let skewed = [1.0, 1.2, 1.1, 0.9, 1.3, 1.0, 5.0, 1.15, 0.95, 1.05, 1.25, 3.0];
        let found = mean_interval(&skewed, 1).unwrap();
        assert!(
            (found.low - 1.106).abs() < 0.02 && (found.high - 2.712).abs() < 0.08,
            "{found:?}"
        );
    }

    #[test]
    fn equal_or_too_few_values_have_no_interval() {
        assert_eq!(mean_interval(&[2.0; 8], 1), None);
        assert_eq!(mean_interval(&[0.1; 8], 1), None);
        assert_eq!(mean_interval(&[2.0], 1), None);
        assert_eq!(ratio_interval(&[1.0; 5], &[1.0; 9], 1), None);
        assert_eq!(ratio_interval(&[1.0; 9], &[0.0; 9], 1), None);
    }

    #[test]
    fn the_ratio_interval_of_equal_samples_contains_one() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        let found = ratio_interval(&values, &values, 7).unwrap();
        assert!(found.low < 1.0 && 1.0 < found.high);
        let doubled: Vec<f64> = values.iter().map(|x| x * 2.0).collect();
        let twice = ratio_interval(&doubled, &values, 7).unwrap();
        assert!(
            (twice.low / found.low - 2.0).abs() < 1e-9,
            "the same seed draws the same resamples"
        );
    }

    #[test]
    fn quantiles_are_interpolated_linearly() {
        // numpy.quantile([1, 2, 4], 0.75) = 3.0
        assert!((quantile(&[1.0, 2.0, 4.0], 0.75) - 3.0).abs() < 1e-12);
        assert!((quantile(&[1.0, 2.0, 4.0], 1.0) - 4.0).abs() < 1e-12);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn the_same_seed_gives_the_same_interval_and_it_lies_within_the_values(values in proptest::collection::vec(0.1f64..1e3, 2..15), seed: u64) {
            let found = mean_interval(&values, seed);
            prop_assert_eq!(found, mean_interval(&values, seed));
            if let Some(found) = found {
                let sorted = ascending(&values);
                prop_assert!(sorted[0] - 1e-9 <= found.low && found.low <= found.high && found.high <= sorted[sorted.len() - 1] + 1e-9);
            }
        }
    }
}
