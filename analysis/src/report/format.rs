//! Formatting of numbers and tables. Numbers have three significant digits, so that values of all magnitudes are easy to compare.

use std::fmt::Write;

use crate::stats::Interval;

/// Three significant digits, or all before the decimal point; no exponent.
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
    // An empty sum may be -0.0.
    format!("{:.decimals$}", value + 0.0)
}

/// The number, or a dash.
pub(super) fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// `low–high`; `None` without an interval.
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

/// An integer with narrow spaces between thousands.
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

/// Escapes text for HTML, including attributes.
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

/// A table. Every row has as many cells as the head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// Its title.
    pub title: String,
    /// How to read it.
    pub note: String,
    /// The column heads; the first is that of the row names.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Renders HTML.
    pub fn html(&self) -> String {
        let mut html = format!("<h3>{}</h3>\n", escape(&self.title));
        if !self.note.is_empty() {
            let _ = writeln!(html, "<p class=\"sub\">{}</p>", escape(&self.note));
        }
        html.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
        for head in &self.head {
            let _ = write!(html, "<th>{}</th>", escape(head));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for cell in row {
                let _ = write!(html, "<td>{}</td>", escape(cell));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }

    /// Renders Markdown; `plain` escapes text.
    pub fn markdown(&self, plain: impl Fn(&str) -> String) -> String {
        let mut text = format!("\n### {}\n\n", plain(&self.title));
        if !self.note.is_empty() {
            let _ = writeln!(text, "{}\n", plain(&self.note));
        }
        let line = |cells: &[String]| {
            let cells: Vec<_> = cells.iter().map(|cell| plain(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        text.push_str(&line(&self.head));
        let _ = writeln!(text, "|---|{}", "---:|".repeat(self.head.len().saturating_sub(1)));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
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

    #[test]
    fn both_formats_contain_every_cell() {
        let table = Table {
            title: "By <service>".into(),
            note: String::new(),
            head: vec!["service".into(), "CPU".into()],
            rows: vec![vec!["web & co".into(), "1.5".into()]],
        };
        let html = table.html();
        assert!(html.contains("<h3>By &lt;service&gt;</h3>") && html.contains("<td>web &amp; co</td><td>1.5</td>"));
        let text = table.markdown(str::to_owned);
        assert!(
            text.ends_with("| service | CPU |\n|---|---:|\n| web & co | 1.5 |\n"),
            "{text}"
        );
    }
}
