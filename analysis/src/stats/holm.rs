//! Holm's correction (Holm 1979): keeps the chance of even one false alarm among many tests at the level of a single one.

/// The corrected p-values in the order given: the i-th smallest of m is multiplied by `m - i + 1`, never below the one before it, at most 1.
#[must_use]
pub fn correct(p_values: &[f64]) -> Vec<f64> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") = 0.03 0.06 0.06 0.02
        let found = correct(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert!(correct(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn the_order_stays_and_nothing_gets_smaller(values in proptest::collection::vec(0.0f64..=1.0, 0..20)) {
            let found = correct(&values);
            for (i, p) in found.iter().enumerate() {
                prop_assert!(*p >= values[i] && *p <= 1.0);
                for (j, q) in found.iter().enumerate() {
                    prop_assert!(values[i] > values[j] || p <= q);
                }
            }
        }
    }
}
