//! Units of figures, and conversion between those of one dimension.

/// What a unit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dimension {
    Time,
    Data,
    Share,
    Count,
}

/// Units with their dimension and size; names of one unit share a line. A program that prints `KB` may mean 1000 or 1024 bytes, so it is not here.
const UNITS: &[(&[&str], Dimension, f64)] = &[
    (&["ns"], Dimension::Time, 1e-9),
    (&["us", "\u{b5}s", "\u{3bc}s"], Dimension::Time, 1e-6),
    (&["ms", "msec"], Dimension::Time, 1e-3),
    (&["s", "sec", "secs"], Dimension::Time, 1.0),
    (&["m", "min"], Dimension::Time, 60.0),
    (&["h"], Dimension::Time, 3600.0),
    (&["bit"], Dimension::Data, 0.125),
    (&["kbit"], Dimension::Data, 125.0),
    (&["Mbit"], Dimension::Data, 125e3),
    (&["Gbit"], Dimension::Data, 125e6),
    (&["B"], Dimension::Data, 1.0),
    (&["kB"], Dimension::Data, 1e3),
    (&["MB"], Dimension::Data, 1e6),
    (&["GB"], Dimension::Data, 1e9),
    (&["KiB"], Dimension::Data, 1024.0),
    (&["MiB"], Dimension::Data, 1_048_576.0),
    (&["GiB"], Dimension::Data, 1_073_741_824.0),
    (&["%"], Dimension::Share, 0.01),
    (&["1"], Dimension::Share, 1.0),
    (&["k", "K"], Dimension::Count, 1e3),
    (&["M"], Dimension::Count, 1e6),
    (&["G"], Dimension::Count, 1e9),
];

/// The factor from one unit to another; `None`: they are of different dimensions, or unknown. A bare prefix (`k`, `M`, `G`) multiplies any unit.
#[must_use]
pub fn factor(from: &str, to: &str) -> Option<f64> {
    if from == to || from.is_empty() {
        return Some(1.0);
    }
    let (from, to) = match (from.strip_suffix("/s"), to.strip_suffix("/s")) {
        (Some(from), Some(to)) => (from, to),
        _ => (from, to),
    };
    let known = |unit: &str| UNITS.iter().find(|(names, ..)| names.contains(&unit));
    let (_, dimension, size) = known(from)?;
    if *dimension == Dimension::Count {
        return Some(*size);
    }
    let (_, other, divisor) = known(to)?;
    (dimension == other).then_some(size / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_one_dimension_are_converted() {
        for (from, to, expected) in [
            ("us", "ms", 0.001),
            ("s", "ms", 1000.0),
            ("bit/s", "Mbit/s", 1e-6),
            ("MiB/s", "MB/s", 1.048_576),
            ("1", "%", 100.0),
            ("k", "req/s", 1000.0),
            ("", "furlongs", 1.0),
            ("furlongs", "furlongs", 1.0),
        ] {
            let found = factor(from, to).unwrap_or_else(|| panic!("{from} to {to}"));
            assert!((found / expected - 1.0).abs() < 1e-12, "{from} to {to}: {found}");
        }
    }

    #[test]
    fn other_units_are_not() {
        for (from, to) in [
            ("ms", "MiB"),
            ("s", "req/s"),
            ("furlongs", "ms"),
            ("KB", "MiB"),
            ("B/s", "MB"),
            ("ms", ""),
        ] {
            assert_eq!(factor(from, to), None, "{from} to {to}");
        }
    }
}
