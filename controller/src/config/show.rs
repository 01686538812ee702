//! Problems as text for people and as JSON for programs.

use std::path::Path;

use analysis::text::counted;
use serde_json::json;

use super::problem::{Problem, Severity};

/// One line a problem, then how many there are.
#[must_use]
pub fn problems_text(file: &Path, problems: &[Problem]) -> String {
    let mut text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    let of = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let parts: Vec<_> = [(of(Severity::Error), "problem"), (of(Severity::Warning), "warning")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| counted(count, word))
        .collect();
    if !parts.is_empty() {
        text += &format!("{} in {}\n", parts.join(" and "), file.display());
    }
    text
}

/// `{"file", "ok", "problems": [..]}`; warnings are among the problems and leave `ok` true.
#[must_use]
pub fn problems_json(file: &Path, problems: &[Problem]) -> String {
    let ok = problems.iter().all(|problem| problem.severity == Severity::Warning);
    format!(
        "{:#}\n",
        json!({"file": file.display().to_string(), "ok": ok, "problems": problems})
    )
}
