//! Two runs' differences for people and for programs.

use std::fmt::Write;

use super::Diff;
use super::results::{Change, Side};
use super::setup::Difference;
use crate::report::format::{interval, number, p_value};

/// The longest value that a line shows, characters.
const LONGEST: usize = 100;

/// For people.
#[must_use]
pub fn text(diff: &Diff) -> String {
    let mut text = format!("one:   {}\nother: {}\n", diff.one, diff.other);
    for problem in &diff.problems {
        let _ = writeln!(text, "PROBLEM: {problem}");
    }
    let _ = match diff.setup.len() {
        0 => writeln!(text, "\nBoth were run with the same."),
        n => writeln!(text, "\nWhat they were run with differs in {n}:"),
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

/// For programs; `differ` says what the exit code says.
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
            let shown = |value: &Option<String>| value.as_deref().map_or("(nothing)".to_owned(), cut);
            format!("{what}: {} -> {}", shown(one), shown(other))
        }
    }
}

fn cut(text: &str) -> String {
    let plain = text.replace(['\n', '\r'], " ");
    match plain.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &plain[..at]),
        None => plain,
    }
}

fn results(text: &mut String, diff: &Diff) {
    let significant = diff.results.iter().filter(|change| change.is_significant()).count();
    let _ = writeln!(
        text,
        "\nResults: medians over trials [95 % interval], of the second over the first; {significant} of {} differ by more than chance (p < 0.05 after Holm's correction)",
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
