//! Where a table of the file stands.

use super::field::{Field, Given};
use super::problem::{Fault, Problem, Severity};

/// Where a table stands, to say so in problems.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The file's name.
    pub file: String,
    /// E.g. `[kafka]` or `[[load]] "heavy"`.
    pub label: String,
    /// The line of its header, from 1.
    pub line: Option<usize>,
}

impl Section {
    /// A problem with a key of this table.
    pub(super) fn problem<T>(&self, field: &Field<T>, fault: Fault) -> Problem {
        let absent = matches!(field.given, Given::Absent);
        Problem {
            severity: Severity::Error,
            file: field
                .option
                .map_or_else(|| self.file.clone(), |option| format!("option {option}")),
            line: if absent { self.line } else { field.line },
            table: self.label.clone(),
            key: Some(field.key.to_owned()),
            value: (!absent).then(|| field.shown.clone()),
            what: fault.what,
            remedy: fault.remedy,
        }
    }

    /// A problem with this table as a whole.
    pub(super) fn whole(&self, fault: Fault) -> Problem {
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
