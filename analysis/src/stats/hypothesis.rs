//! Hypothesis tests without assumptions about the distribution of values, and their effect size and correction.

use super::{ascending, normal_cdf};

/// The Mann-Whitney U statistic of the first sample: over all pairs, 1 for each greater value and 1/2 for each tie.
#[must_use]
pub fn u_statistic(a: &[f64], b: &[f64]) -> f64 {
    let sorted = ascending(b);
    let wins = |x: &f64| {
        let below = sorted.partition_point(|y| y < x);
        let not_above = sorted.partition_point(|y| y <= x);
        (below + not_above) as f64 / 2.0
    };
    a.iter().map(wins).sum()
}

/// The largest product of sample sizes for which the exact distribution is used.
const EXACT_PAIRS: usize = 2_500;

/// The two-sided p-value of the Mann-Whitney test (Mann and Whitney 1947); `None` if a sample is empty.
///
/// Exact without ties and up to 2,500 pairs: the coefficients of the Gaussian binomial count the arrangements.
/// Otherwise a normal approximation with corrections for ties and continuity.
#[must_use]
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let pooled = ascending(&[a, b].concat());
    let has_ties = pooled.windows(2).any(|pair| pair[0] >= pair[1]);
    let u = u_statistic(a, b);
    if has_ties || a.len() * b.len() > EXACT_PAIRS {
        Some(approximate(u, a.len(), b.len(), &pooled))
    } else {
        Some(exact(u, a.len(), b.len()))
    }
}

/// Twice the smaller tail of the exact distribution.
fn exact(u: f64, m: usize, n: usize) -> f64 {
    let counts = u_distribution(m, n);
    let all: f64 = counts.iter().sum();
    let smaller = u.min((m * n) as f64 - u);
    let tail: f64 = counts
        .iter()
        .zip(0u32..)
        .take_while(|(_, at)| f64::from(*at) <= smaller)
        .map(|(c, _)| c)
        .sum();
    (2.0 * tail / all).min(1.0)
}

/// The number of arrangements of m and n values with each U from 0 to m n: the coefficients of the Gaussian binomial, computed by
/// multiplying by `1 - q^(n + i)` and dividing by `1 - q^i`, i from 1 to m.
fn u_distribution(m: usize, n: usize) -> Vec<f64> {
    let mut counts = vec![0.0; m * n + 1];
    counts[0] = 1.0;
    for i in 1..=m {
        for at in (n + i..counts.len()).rev() {
            counts[at] -= counts[at - n - i];
        }
        for at in i..counts.len() {
            counts[at] += counts[at - i];
        }
    }
    counts
}

fn approximate(u: f64, m: usize, n: usize, pooled: &[f64]) -> f64 {
    let (m, n) = (m as f64, n as f64);
    let size = m + n;
    let ties: f64 = pooled
        .chunk_by(|x, y| x == y)
        .map(|t| (t.len() as f64).powi(3) - t.len() as f64)
        .sum();
    let variance = m * n / 12.0 * (size + 1.0 - ties / (size * (size - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let distance = ((u - m * n / 2.0).abs() - 0.5).max(0.0);
    (2.0 * normal_cdf(-distance / variance.sqrt())).min(1.0)
}

/// Cliff's delta (Cliff 1993): the share of pairs in which the first sample is greater minus the share in which it is smaller, -1 to 1; `None` if
/// a sample is empty.
#[must_use]
pub fn cliffs_delta(a: &[f64], b: &[f64]) -> Option<f64> {
    let pairs = (a.len() * b.len()) as f64;
    (pairs > 0.0).then(|| 2.0 * u_statistic(a, b) / pairs - 1.0)
}

/// The conventional label of a delta: limits 0.147, 0.33 and 0.474 (Romano et al. 2006).
#[must_use]
pub fn magnitude(delta: f64) -> &'static str {
    match delta.abs() {
        d if d < 0.147 => "negligible",
        d if d < 0.33 => "small",
        d if d < 0.474 => "medium",
        _ => "large",
    }
}

/// Holm's correction (Holm 1979), in the order given: the i-th smallest of m p-values is multiplied by `m - i + 1`, is never below the one
/// before it, and is at most 1. It controls the familywise error rate.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut least: f64 = 0.0;
    for (place, &index) in order.iter().enumerate() {
        least = least.max(p_values[index] * (p_values.len() - place) as f64).min(1.0);
        corrected[index] = least;
    }
    corrected
}

/// The result of the Mann-Kendall test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Kendall's tau-a against the order: -1 (always falling) to 1 (always rising).
    pub tau: f64,
    /// The two-sided p-value.
    pub p: f64,
}

/// The minimum number of trials for a test or a confidence interval.
pub const MIN_TRIALS: usize = 6;

/// The Mann-Kendall test for a trend (Mann 1945, Kendall 1975) of values in the order of their trials: `S` is the number of rising pairs minus
/// the number of falling pairs; its variance is `(n (n - 1) (2n + 5) - sum t (t - 1) (2t + 5)) / 18` over groups of t ties; normal approximation with
/// continuity correction. `None` for fewer than six values.
#[must_use]
pub fn mann_kendall(values: &[f64]) -> Option<Trend> {
    let n = values.len();
    if n < MIN_TRIALS {
        return None;
    }
    let mut s = 0.0;
    for (i, x) in values.iter().enumerate() {
        s += values[i + 1..]
            .iter()
            .map(|y| f64::from(i8::from(y > x) - i8::from(y < x)))
            .sum::<f64>();
    }
    let term = |t: f64| t * (t - 1.0) * (2.0 * t + 5.0);
    let sorted = ascending(values);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|t| term(t.len() as f64)).sum();
    let n = n as f64;
    let variance = (term(n) - ties) / 18.0;
    let z = if variance > 0.0 {
        ((s.abs() - 1.0).max(0.0)) / variance.sqrt()
    } else {
        0.0
    };
    Some(Trend {
        tau: s / (n * (n - 1.0) / 2.0),
        p: (2.0 * normal_cdf(-z)).min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() - expected).abs() < 1e-9, "{found:?} for {expected}");
    }

    #[test]
    fn p_values_match_scipy() {
        // scipy.stats.mannwhitneyu(.., method="exact"); method="asymptotic" for the sample with ties
        let (a, b) = ([1.1, 2.2, 3.3, 4.4, 5.5], [3.0, 4.0, 6.0, 7.0, 8.0, 9.0]);
        assert!((u_statistic(&a, &b) - 5.0).abs() < 1e-12);
        close(mann_whitney(&a, &b), 0.082_251_082_251_082_26);
        let (a, b) = (
            [1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 5.0],
            [2.0, 4.0, 5.0, 5.0, 6.0, 7.0, 8.0, 8.0],
        );
        close(mann_whitney(&a, &b), 0.022_410_040_622_825_05);
        let a: Vec<f64> = (0..30).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|x| x + 7.5).collect();
        close(mann_whitney(&a, &b), 0.003_193_540_818_593_945);
    }

    #[test]
    fn three_against_three_cannot_be_significant() {
        close(mann_whitney(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), 0.1);
        assert_eq!(mann_whitney(&[], &[1.0]), None);
        close(mann_whitney(&[2.0, 2.0], &[2.0, 2.0]), 1.0);
    }

    #[test]
    fn delta_runs_from_minus_one_to_one() {
        close(cliffs_delta(&[1.0, 2.0], &[3.0, 4.0]), -1.0);
        close(cliffs_delta(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
        close(cliffs_delta(&[5.0], &[3.0, 4.0]), 1.0);
        assert_eq!(
            (magnitude(-0.1), magnitude(0.2), magnitude(-0.4), magnitude(0.9)),
            ("negligible", "small", "medium", "large")
        );
    }

    proptest! {
        #[test]
        fn the_exact_distribution_is_complete_and_symmetric(m in 1usize..9, n in 1usize..9) {
            let counts = u_distribution(m, n);
            let choose = (1..=m).fold(1.0, |c, i| c * (n + i) as f64 / i as f64);
            prop_assert!((counts.iter().sum::<f64>() - choose).abs() < 1e-6);
            prop_assert!((0..counts.len()).all(|u| counts[u] == counts[counts.len() - 1 - u]));
        }

        #[test]
        fn swapping_the_samples_negates_the_effect(a in proptest::collection::vec(0i32..50, 1..20), b in proptest::collection::vec(0i32..50, 1..20)) {
            let (a, b): (Vec<f64>, Vec<f64>) = (a.into_iter().map(f64::from).collect(), b.into_iter().map(f64::from).collect());
            let (forth, back) = (mann_whitney(&a, &b).unwrap(), mann_whitney(&b, &a).unwrap());
            prop_assert!((forth - back).abs() < 1e-12 && (0.0..=1.0).contains(&forth));
            prop_assert!((cliffs_delta(&a, &b).unwrap() + cliffs_delta(&b, &a).unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn holm_matches_r() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") = 0.03 0.06 0.06 0.02
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert!(holm(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn the_order_stays_and_nothing_gets_smaller(values in proptest::collection::vec(0.0f64..=1.0, 0..20)) {
            let found = holm(&values);
            for (i, p) in found.iter().enumerate() {
                prop_assert!(*p >= values[i] && *p <= 1.0);
                for (j, q) in found.iter().enumerate() {
                    prop_assert!(values[i] > values[j] || p <= q);
                }
            }
        }
    }

    #[test]
    fn mann_kendall_matches_scipy() {
        // scipy.stats.kendalltau(range(8), [1,3,2,5,4,7,8,6]) = 0.714286; S = 20, variance 8*7*21/18, z = 19 / 8.0829, p = 0.018746
        let found = mann_kendall(&[1.0, 3.0, 2.0, 5.0, 4.0, 7.0, 8.0, 6.0]).unwrap();
        assert!((found.tau - 0.714_285_714_285_714_2).abs() < 1e-12);
        assert!((found.p - 0.018_74).abs() < 1e-4, "{}", found.p);
    }

    #[test]
    fn equal_values_have_no_trend_and_few_are_not_tested() {
        assert_eq!(mann_kendall(&[3.0; 9]), Some(Trend { tau: 0.0, p: 1.0 }));
        assert_eq!(mann_kendall(&[1.0, 2.0, 3.0, 4.0, 5.0]), None);
    }

    proptest! {
        #[test]
        fn reversing_the_order_negates_tau(mut values in proptest::collection::vec(0.0f64..100.0, 6..30)) {
            let forth = mann_kendall(&values).unwrap();
            values.reverse();
            let back = mann_kendall(&values).unwrap();
            prop_assert!((forth.tau + back.tau).abs() < 1e-12 && (forth.p - back.p).abs() < 1e-12);
        }
    }
}
