//! One value of a raw table, and where it was found.

use super::problem::{Fault, Problem, Severity};

/// A value that a file may have under a key.
#[derive(Clone, Debug)]
pub struct Field<T> {
    /// The key.
    pub key: &'static str,
    /// Where the value was found: a file, `option --x` or `variable X`; `None` if it is absent.
    pub source: Option<String>,
    /// The line of the value, from 1; `None` if the source has no lines.
    pub line: Option<usize>,
    /// The value as written, cut to 60 characters.
    pub shown: String,
    /// The value.
    pub given: Given<T>,
}

/// What a file has under a key.
#[derive(Clone, Debug)]
pub enum Given<T> {
    /// Nothing.
    Absent,
    /// A value of another type; that problem is already reported, and no second one follows from it.
    Invalid,
    /// A value.
    Value(T),
}

impl<T> Field<T> {
    /// The value, if there is one of the right type.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        match &self.given {
            Given::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Whether there is nothing under the key.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self.given, Given::Absent)
    }

    /// The field without its value.
    #[must_use]
    pub fn bare(&self) -> Field<()> {
        Field {
            key: self.key,
            source: self.source.clone(),
            line: self.line,
            shown: self.shown.clone(),
            given: match self.given {
                Given::Absent => Given::Absent,
                Given::Invalid => Given::Invalid,
                Given::Value(_) => Given::Value(()),
            },
        }
    }

    /// Overrides the value; `source` is e.g. `option --name`.
    pub fn replace(&mut self, source: String, shown: &str, value: T) {
        self.source = Some(source);
        self.line = None;
        self.shown = cut(shown);
        self.given = Given::Value(value);
    }

    /// Drops the value.
    pub fn clear(&mut self) {
        self.given = Given::Absent;
    }
}

/// The location of a table.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The file's name.
    pub file: String,
    /// E.g. `[kafka]` or `[[load]] "heavy"`; empty for the top level of a file.
    pub label: String,
    /// The line of its header, from 1.
    pub line: Option<usize>,
}

impl Section {
    /// A problem with a key of this table.
    #[must_use]
    pub fn field_problem<T>(&self, field: &Field<T>, fault: Fault) -> Problem {
        let is_absent = field.is_absent();
        Problem {
            file: field.source.clone().unwrap_or_else(|| self.file.clone()),
            line: if is_absent { self.line } else { field.line },
            key: Some(field.key.to_owned()),
            value: (!is_absent).then(|| field.shown.clone()),
            ..self.problem(fault)
        }
    }

    /// A problem with this table as a whole.
    #[must_use]
    pub fn problem(&self, fault: Fault) -> Problem {
        Problem {
            severity: Severity::Error,
            file: self.file.clone(),
            line: self.line,
            table: self.label.clone(),
            key: None,
            value: None,
            what: fault.what,
            remedy: fault.remedy,
        }
    }
}

/// The first line of a text, at most 60 characters of it.
pub(super) fn cut(text: &str) -> String {
    const MAX: usize = 60;
    let first = text.lines().next().unwrap_or_default();
    if first.chars().count() > MAX || first.len() < text.trim_end().len() {
        first.chars().take(MAX).chain("...".chars()).collect()
    } else {
        first.to_owned()
    }
}
