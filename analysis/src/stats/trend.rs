//! Drift: does a value grow or fall with the trial's place in the run?

use super::{ascending, normal};

/// What Mann-Kendall's test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Kendall's tau-a against the order: -1 (always falls) to 1 (always grows).
    pub tau: f64,
    /// The two-sided p-value of no trend.
    pub p: f64,
}

/// The fewest values that are tested.
pub const LEAST: usize = 6;

/// Mann-Kendall's test (Mann 1945, Kendall 1975) of values in the order of their trials: `S` counts the pairs that grow minus those that
/// fall; its variance is `(n (n - 1) (2n + 5) - sum t (t - 1) (2t + 5)) / 18` over groups of t ties; normal approximation with correction
/// for continuity. `None` for fewer than six values.
#[must_use]
pub fn mann_kendall(values: &[f64]) -> Option<Trend> {
    let n = values.len();
    if n < LEAST {
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
        p: (2.0 * normal::cdf(-z)).min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        // scipy.stats.kendalltau(range(8), [1,3,2,5,4,7,8,6]) = 0.714286; S = 20, variance 8*7*21/18, z = 19 / 8.0829, p = 0.018746
        let found = mann_kendall(&[1.0, 3.0, 2.0, 5.0, 4.0, 7.0, 8.0, 6.0]).unwrap();
        assert!((found.tau - 0.714_285_714_285_714_2).abs() < 1e-12);
        assert!((found.p - 0.018_74).abs() < 1e-4, "{}", found.p);
    }

    #[test]
    fn alike_values_have_no_trend_and_few_are_not_tested() {
        assert_eq!(mann_kendall(&[3.0; 9]), Some(Trend { tau: 0.0, p: 1.0 }));
        assert_eq!(mann_kendall(&[1.0, 2.0, 3.0, 4.0, 5.0]), None);
    }

    proptest! {
        #[test]
        fn going_backwards_turns_the_sign(mut values in proptest::collection::vec(0.0f64..100.0, 6..30)) {
            let forth = mann_kendall(&values).unwrap();
            values.reverse();
            let back = mann_kendall(&values).unwrap();
            prop_assert!((forth.tau + back.tau).abs() < 1e-12 && (forth.p - back.p).abs() < 1e-12);
        }
    }
}
