//! Two groups of trials compared by their ranks: no assumption about how the values are distributed.

use super::{ascending, normal};

/// Mann-Whitney's U of the first group: over all pairs, 1 for each that it wins and 1/2 for each tie.
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

/// The largest product of the two sizes for which the exact distribution is used.
const EXACT_PAIRS: usize = 2_500;

/// The two-sided p-value of Mann-Whitney's test (Mann and Whitney 1947); `None` if a group is empty.
///
/// Without ties and for up to 2,500 pairs it is exact: the coefficients of the Gaussian binomial count the arrangements.
/// Otherwise the normal approximation with the correction for ties and for continuity.
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

/// How many of the arrangements of m and n values have each U, from 0 to m n: the coefficients of the Gaussian binomial, built up by
/// multiplying with `1 - q^(n + i)` and dividing by `1 - q^i`, i from 1 to m.
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
    (2.0 * normal::cdf(-distance / variance.sqrt())).min(1.0)
}

/// Cliff's delta (Cliff 1993): the share of pairs that the first group wins minus the share that it loses, -1 to 1; `None` if a group is
/// empty.
#[must_use]
pub fn cliffs_delta(a: &[f64], b: &[f64]) -> Option<f64> {
    let pairs = (a.len() * b.len()) as f64;
    (pairs > 0.0).then(|| 2.0 * u_statistic(a, b) / pairs - 1.0)
}

/// The word for a delta: limits 0.147, 0.33 and 0.474 (Romano et al. 2006).
#[must_use]
pub fn magnitude(delta: f64) -> &'static str {
    match delta.abs() {
        d if d < 0.147 => "negligible",
        d if d < 0.33 => "small",
        d if d < 0.474 => "medium",
        _ => "large",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() - expected).abs() < 1e-9, "{found:?} for {expected}");
    }

    #[test]
    fn p_values_are_those_of_scipy() {
        // scipy.stats.mannwhitneyu(.., method="exact"), and method="asymptotic" for the one with ties
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
        fn the_exact_distribution_counts_every_arrangement_and_is_symmetric(m in 1usize..9, n in 1usize..9) {
            let counts = u_distribution(m, n);
            let choose = (1..=m).fold(1.0, |c, i| c * (n + i) as f64 / i as f64);
            prop_assert!((counts.iter().sum::<f64>() - choose).abs() < 1e-6);
            prop_assert!((0..counts.len()).all(|u| counts[u] == counts[counts.len() - 1 - u]));
        }

        #[test]
        fn the_groups_can_be_exchanged(a in proptest::collection::vec(0i32..50, 1..20), b in proptest::collection::vec(0i32..50, 1..20)) {
            let (a, b): (Vec<f64>, Vec<f64>) = (a.into_iter().map(f64::from).collect(), b.into_iter().map(f64::from).collect());
            let (forth, back) = (mann_whitney(&a, &b).unwrap(), mann_whitney(&b, &a).unwrap());
            prop_assert!((forth - back).abs() < 1e-12 && (0.0..=1.0).contains(&forth));
            prop_assert!((cliffs_delta(&a, &b).unwrap() + cliffs_delta(&b, &a).unwrap()).abs() < 1e-12);
        }
    }
}
