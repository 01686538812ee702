//! The output of a comparison, as text and JSON.

use std::fmt::Write;

use super::Diff;
use super::results::{Change, Side};
use super::setup::Difference;
use crate::report::format::{interval, number, p_value};

/// The maximum length of a value in the text, characters.
const MAX_VALUE_LEN: usize = 100;

/// The comparison as text.
#[must_use]
pub fn text(diff: &Diff) -> String {
    let mut text = format!("one:   {}\nother: {}\n", diff.one, diff.other);
    for problem in &diff.problems {
        let _ = writeln!(text, "PROBLEM: {problem}");
    }
    let _ = match diff.setup.len() {
        0 => writeln!(text, "\nThe configurations are identical."),
        n => writeln!(text, "\n{n} differences in configuration:"),
    };
    let mut part = "";
    for difference in &diff.setup {
        if difference.part != part {
            part = &difference.part;
            let _ = writeln!(text, "  {part}");
        }
        let _ = writeln!(text, "    {}", line(difference));
    }
    for note in &diff.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    results(&mut text, diff);
    text
}

/// The comparison as JSON; `differ` corresponds to the exit code.
#[must_use]
pub fn json(diff: &Diff) -> String {
    let mut value = serde_json::to_value(diff).unwrap_or_default();
    value["differ"] = (!diff.is_empty()).into();
    format!("{value:#}\n")
}

fn line(difference: &Difference) -> String {
    let Difference { what, one, other, .. } = difference;
    match (one, other) {
        (Some(line), None) if what == "line" => format!("- {}", cut(line)),
        (None, Some(line)) if what == "line" => format!("+ {}", cut(line)),
        (one, other) => {
            let shown = |value: &Option<String>| value.as_deref().map_or("(none)".to_owned(), cut);
            format!("{what}: {} -> {}", shown(one), shown(other))
        }
    }
}

fn cut(text: &str) -> String {
    let plain = text.replace(['\n', '\r'], " ");
    match plain.char_indices().nth(MAX_VALUE_LEN) {
        Some((at, _)) => format!("{}...", &plain[..at]),
        None => plain,
    }
}

fn results(text: &mut String, diff: &Diff) {
    let significant = diff.results.iter().filter(|change| change.is_significant()).count();
    let _ = writeln!(
        text,
        "\nResults: medians over trials [95 % CI] and ratio, second to first; {significant} of {} differ significantly (p < 0.05, Holm-corrected)",
        diff.results.len()
    );
    let width = diff.results.iter().map(|change| change.cell.len()).max().unwrap_or(0);
    for change in &diff.results {
        let _ = writeln!(text, "{}", row(change, width));
    }
}

fn row(change: &Change, width: usize) -> String {
    let Change { cell, metric, unit, .. } = change;
    let mark = if change.is_significant() { "*" } else { " " };
    let sides = format!("{} -> {} {unit}", side(&change.one), side(&change.other));
    let ratio = change.ratio.map_or_else(String::new, |ratio| {
        let within = interval(change.ratio_interval).map_or_else(String::new, |i| format!(" [{i}]"));
        let p = change.p.map_or_else(String::new, |p| format!(", p {}", p_value(p)));
        format!("  {} x{within}{p}", number(ratio))
    });
    format!("{mark} {cell:width$}  {metric:<13} {sides}{ratio}")
}

fn side(side: &Option<Side>) -> String {
    match side {
        None => "none".to_owned(),
        Some(Side { n, median, interval: i }) => {
            let within = interval(*i).map_or_else(String::new, |i| format!(" [{i}]"));
            format!("{}{within} (n={n})", number(*median))
        }
    }
}
