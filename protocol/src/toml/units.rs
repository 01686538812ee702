//! Durations such as `"500ms"` and `"1h30m"`, and sizes such as `"64MiB"`.

use std::time::Duration;

use super::problem::Fault;

/// The units of time, in seconds. Longer words first where one begins with another.
const TIMES: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("min", 60.0),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
];

/// Parses a duration: one or more of a number and its unit, without spaces.
///
/// # Errors
/// It is not a duration.
pub fn parse_duration(text: &str) -> Result<Duration, Fault> {
    let fault = || {
        Fault::new(
            "invalid duration",
            "write a number and a unit (ns, us, ms, s, m, h, d), e.g. \"500ms\", \"10s\", \"2m\", \"1h30m\"",
        )
    };
    let mut sum = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(fault)?;
        let (number, tail) = rest.split_at(digits);
        let (unit, factor) = TIMES
            .iter()
            .find(|(unit, _)| tail.starts_with(unit))
            .ok_or_else(fault)?;
        let seconds = number.parse::<f64>().map_err(|_| fault())? * factor;
        // Part by part, so that milliseconds stay exact beside hours.
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| fault())?;
        sum = sum.checked_add(part).ok_or_else(fault)?;
        rest = &tail[unit.len()..];
    }
    Ok(sum)
}

/// Parses a duration, or a whole number of seconds; for options of the command line.
///
/// # Errors
/// It is neither.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => parse_duration(text).map_err(|_| "expected a whole number of seconds, or e.g. 2m".to_owned()),
    }
}

/// A duration as files write it, to the millisecond: `1h2m`, `1m30s`, `2s`, `500ms`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let mut text = String::new();
    let mut rest = ms;
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The units of size, in bytes.
const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Parses a size in bytes: a whole number and its unit, with or without a space between.
///
/// # Errors
/// It is not a size.
pub fn parse_size(text: &str) -> Result<u64, Fault> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = SIZES.iter().find(|(word, _)| *word == unit.trim_start());
    let bytes = factor.and_then(|(_, factor)| number.parse::<u64>().ok()?.checked_mul(*factor));
    bytes.ok_or_else(|| {
        Fault::new(
            "invalid size",
            "write a whole number and a unit (B, kB, MB, GB, KiB, MiB, GiB), e.g. \"64MiB\"",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_with_every_unit() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("2min", 120_000),
            ("1h30m", 5_400_000),
            ("0.5s", 500),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "10",
            "s",
            "-5s",
            "10 s",
            "1.2.3s",
            ".s",
            "5x",
            "5é",
            "NaNs",
            "9e9s",
            "99999999999999999999999d",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        for (text, bytes) in [("0B", 0), ("64MiB", 64 << 20), ("2 GiB", 2 << 30), ("3kB", 3000)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "64", "MiB", "-1B", "1.5GiB", "1mib", "99999999999TiB"] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(ms in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&show_duration(duration)).unwrap(), duration);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
