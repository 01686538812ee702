//! How numbers are written: three significant digits, so that values of every size can be compared at a glance.

use crate::stats::Interval;

/// Three significant digits or all before the point; without an exponent.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let decimals = match value.abs() {
        0.0 => 0,
        a if a >= 100.0 => 0,
        a if a >= 10.0 => 1,
        a if a >= 1.0 => 2,
        a if a >= 0.1 => 3,
        _ => 4,
    };
    // A sum of nothing may come out as -0.0, which is no number for people.
    format!("{:.decimals$}", value + 0.0)
}

/// The number, or a dash.
pub(super) fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// `low–high`, or nothing.
pub(crate) fn interval(interval: Option<Interval>) -> Option<String> {
    interval.map(|i| format!("{}–{}", number(i.low), number(i.high)))
}

/// A p-value: `0.031`, or `<0.001`.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 {
        "<0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

/// A whole number with thin gaps between thousands.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Text that may stand in HTML, in an attribute too.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let written = [0.0, -0.0, 0.012_34, 0.1234, 1.2345, 12.345, 123.45, 12_345.6, f64::NAN].map(number);
        assert_eq!(
            written,
            ["0", "0", "0.0123", "0.123", "1.23", "12.3", "123", "12346", "–"]
        );
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(
            (p_value(0.0004), p_value(0.0314)),
            ("<0.001".to_owned(), "0.031".to_owned())
        );
        assert_eq!(escape("<a b=\"c\">&'"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
    }
}
