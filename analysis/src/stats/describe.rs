//! Descriptive statistics: mean, standard deviation, and the median with its confidence interval.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::{Interval, ascending};

/// The arithmetic mean; `None` without values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample standard deviation, `sqrt(sum (x - mean)^2 / (n - 1))`; `None` for fewer than two values.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The minimum confidence level of an interval.
pub const LEVEL: f64 = 0.95;

/// The median: the middle value, or the mean of the middle two; `None` without values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = ascending(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The narrowest symmetric confidence interval of the median between two order statistics with a level of at least 95 %.
///
/// The k-th smallest and k-th largest of n values enclose it with probability `1 - 2 P(B(n, 1/2) <= k - 1)`, whatever the distribution
/// (David and Nagaraja, Order Statistics, 2003, section 7.1). `None` for n < 6: even the extremes then reach at most 93.75 %.
#[must_use]
pub fn median_interval(values: &[f64]) -> Option<Interval> {
    let sorted = ascending(values);
    let n = sorted.len();
    let binomial = Binomial::new(0.5, n as u64).ok()?;
    let level = |k: usize| 1.0 - 2.0 * binomial.cdf(k as u64 - 1);
    let k = (1..=n / 2).take_while(|&k| level(k) >= LEVEL).last()?;
    Some(Interval {
        low: sorted[k - 1],
        high: sorted[n - k],
        level: level(k),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mean_and_sd_of_known_values() {
        // numpy.std([2,4,4,4,5,5,7,9], ddof=1) = 2.138089935299395
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(mean(&values), Some(5.0));
        assert!((standard_deviation(&values).unwrap() - 2.138_089_935_299_395).abs() < 1e-12);
        assert_eq!((mean(&[]), standard_deviation(&[1.0])), (None, None));
    }

    fn one_to(n: u32) -> Vec<f64> {
        (1..=n).map(f64::from).collect()
    }

    #[test]
    fn an_interval_takes_six_values() {
        assert_eq!(median_interval(&one_to(5)), None);
        assert_eq!(median_interval(&[]), None);
        let six = median_interval(&one_to(6)).unwrap();
        assert_eq!((six.low, six.high), (1.0, 6.0));
        assert!((six.level - 0.968_75).abs() < 1e-12);
    }

    #[test]
    fn thirty_values_take_ranks_10_and_21() {
        // Published tables (and 1 - 2 * scipy.stats.binom.cdf(9, 30, 0.5)): ranks 10 and 21, 95.72 %.
        let thirty = median_interval(&one_to(30)).unwrap();
        assert_eq!((thirty.low, thirty.high), (10.0, 21.0));
        assert!(
            (thirty.level - 0.957_226_054_742_932_3).abs() < 1e-9,
            "{}",
            thirty.level
        );
    }

    #[test]
    fn medians_of_even_and_odd_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    proptest! {
        #[test]
        fn the_interval_contains_the_median(values in proptest::collection::vec(-1e6f64..1e6, 6..60)) {
            let found = median_interval(&values).unwrap();
            let middle = median(&values).unwrap();
            prop_assert!(found.low <= middle && middle <= found.high && found.level >= LEVEL);
        }
    }
}
