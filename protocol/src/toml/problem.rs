//! What is wrong with a configuration, in a form that people and programs can use.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde_json::json;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and deserves a look.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file as it was named, or `option --x` or `variable X` if the value comes from there.
    pub file: String,
    /// The line, from 1; of the table's header where a key is missing.
    pub line: Option<usize>,
    /// The table, e.g. `[[load]] "heavy"`; empty for the file as a whole.
    pub table: String,
    /// The key.
    pub key: Option<String>,
    /// The value as it was written, cut to 60 characters.
    pub value: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if self.severity == Severity::Warning {
            f.write_str(": warning")?;
        }
        if !self.table.is_empty() {
            write!(f, ": {}", self.table)?;
        }
        match (&self.key, &self.value) {
            (Some(key), Some(value)) => write!(f, ": {key} = {value}")?,
            (Some(key), None) => write!(f, ": {key}")?,
            _ => {}
        }
        write!(f, ": {}; {}", self.what, self.remedy)
    }
}

/// What is wrong with a value whose location is not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl Fault {
    /// A fault and its remedy.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// The word of `known` that is likely meant by `given`, if any.
pub fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Under this similarity (Jaro-Winkler, 0 to 1) a suggestion would only confuse.
    const ALIKE: f64 = 0.8;
    known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(given, word), word))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// One line for each problem, then their number.
#[must_use]
pub fn problems_text(file: &Path, problems: &[Problem]) -> String {
    let mut text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    let counts = [(Severity::Error, "problem"), (Severity::Warning, "warning")].map(|(severity, word)| {
        let count = problems.iter().filter(|problem| problem.severity == severity).count();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {word}{plural}"))
    });
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    if !counts.is_empty() {
        text += &format!("{} in {}\n", counts.join(" and "), file.display());
    }
    text
}

/// `{"file", "ok", "problems": [..]}`; warnings are among the problems and leave `ok` true.
#[must_use]
pub fn problems_json(file: &Path, problems: &[Problem]) -> serde_json::Value {
    let ok = problems.iter().all(|problem| problem.severity == Severity::Warning);
    json!({"file": file.display().to_string(), "ok": ok, "problems": problems})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_near_or_none() {
        let known = ["iterations", "seed", "order"];
        assert_eq!(did_you_mean("iteration", known), Some("iterations"));
        assert_eq!(did_you_mean("ordre", known), Some("order"));
        assert_eq!(did_you_mean("banana", known), None);
        assert_eq!(did_you_mean("", known), None);
    }
}
