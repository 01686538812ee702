//! The median and its distribution-free interval of confidence.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::{Interval, ascending};

/// The least confidence of an interval.
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

/// The narrowest symmetric interval between two order statistics that holds the median with 95 % confidence or more.
///
/// The k-th smallest and k-th largest of n values enclose it with probability `1 - 2 P(B(n, 1/2) <= k - 1)`, whatever the distribution
/// (David and Nagaraja, Order Statistics, 2003, section 7.1). `None` for n < 6: even the extremes then hold it with 93.75 % at most, so
/// that no such interval exists.
#[must_use]
pub fn interval(values: &[f64]) -> Option<Interval> {
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

    fn one_to(n: u32) -> Vec<f64> {
        (1..=n).map(f64::from).collect()
    }

    #[test]
    fn five_values_have_no_interval_and_six_have() {
        assert_eq!(interval(&one_to(5)), None);
        assert_eq!(interval(&[]), None);
        let six = interval(&one_to(6)).unwrap();
        assert_eq!((six.low, six.high), (1.0, 6.0));
        assert!((six.level - 0.968_75).abs() < 1e-12);
    }

    #[test]
    fn thirty_values_take_the_tenth_and_the_twenty_first() {
        // Published tables (and 1 - 2 * scipy.stats.binom.cdf(9, 30, 0.5)): ranks 10 and 21, 95.72 %.
        let thirty = interval(&one_to(30)).unwrap();
        assert_eq!((thirty.low, thirty.high), (10.0, 21.0));
        assert!(
            (thirty.level - 0.957_226_054_742_932_3).abs() < 1e-9,
            "{}",
            thirty.level
        );
    }

    #[test]
    fn the_median_of_even_and_odd_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_median(values in proptest::collection::vec(-1e6f64..1e6, 6..60)) {
            let found = interval(&values).unwrap();
            let middle = median(&values).unwrap();
            prop_assert!(found.low <= middle && middle <= found.high && found.level >= LEVEL);
        }
    }
}
