//! The check of one table: fields in, values or problems out.

use std::collections::BTreeMap;

use super::field::{Field, Given, Section};
use super::problem::{Fault, Problem, Severity};
use super::value;
use crate::Name;

/// The check of one table.
#[derive(Debug)]
pub struct TableCheck<'a> {
    section: &'a Section,
    problems: &'a mut Vec<Problem>,
}

impl<'a> TableCheck<'a> {
    /// The check of the table at `section`, whose problems go to `problems`.
    pub fn new(section: &'a Section, problems: &'a mut Vec<Problem>) -> Self {
        Self { section, problems }
    }

    /// Another table, with the same problems.
    pub fn elsewhere<'b>(&'b mut self, section: &'b Section) -> TableCheck<'b> {
        TableCheck {
            section,
            problems: self.problems,
        }
    }

    /// A value that is required; `example` is a line that would do.
    pub fn required<T, U>(
        &mut self,
        field: &Field<T>,
        example: &str,
        parse: impl FnOnce(&T) -> Result<U, Fault>,
    ) -> Option<U> {
        if matches!(field.given, Given::Absent) {
            self.error(
                field,
                Fault::new("this key is missing", format!("write e.g. {example}")),
            );
        }
        self.optional(field, parse)?
    }

    /// A value with a default.
    pub fn or<T, U>(&mut self, field: &Field<T>, default: U, parse: impl FnOnce(&T) -> Result<U, Fault>) -> Option<U> {
        self.optional(field, parse).map(|value| value.unwrap_or(default))
    }

    /// A value that may be absent: `Some(None)`. `None`: a problem is reported.
    pub fn optional<T, U>(
        &mut self,
        field: &Field<T>,
        parse: impl FnOnce(&T) -> Result<U, Fault>,
    ) -> Option<Option<U>> {
        match &field.given {
            Given::Absent => Some(None),
            Given::Invalid => None,
            Given::Value(value) => match parse(value) {
                Ok(value) => Some(Some(value)),
                Err(fault) => {
                    self.error(field, fault);
                    None
                }
            },
        }
    }

    /// The name of a table of its own, or else the word of its kind; `None`: a problem is reported, here or for the kind.
    pub fn name_or_kind(&mut self, name: &Field<String>, kind: &Field<String>, taken: &mut Unique) -> Option<Name> {
        let (field, name) = match self.optional(name, value::name)? {
            Some(own) => (name, own),
            None => (kind, kind.value()?.parse().ok()?),
        };
        taken.take(self, field, &name);
        Some(name)
    }

    /// A key that must be absent here, e.g. one of another kind.
    pub fn forbid<T>(&mut self, field: &Field<T>, what: &str, remedy: &str) {
        if !matches!(field.given, Given::Absent) {
            self.error(field, Fault::new(what, remedy));
        }
    }

    /// Reports a problem with a value.
    pub fn error<T>(&mut self, field: &Field<T>, fault: Fault) {
        self.problems.push(self.section.field_problem(field, fault));
    }

    /// Reports a value that deserves a look.
    pub fn warn<T>(&mut self, field: &Field<T>, fault: Fault) {
        let mut problem = self.section.field_problem(field, fault);
        problem.severity = Severity::Warning;
        self.problems.push(problem);
    }

    /// Adds problems of another file.
    pub fn add(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// Reports a problem with the table as a whole.
    pub fn table_error(&mut self, fault: Fault) {
        self.problems.push(self.section.problem(fault));
    }
}

/// Checks every table of a kind, of which there has to be one; `none`: its heading, and what to write if there is none. `None`: a problem is reported.
pub fn each<R, T>(
    tables: &[R],
    file: &str,
    none: (&str, &str),
    problems: &mut Vec<Problem>,
    mut one: impl FnMut(&R, &mut Unique, &mut Vec<Problem>) -> Option<T>,
) -> Option<Vec<T>> {
    if tables.is_empty() {
        let section = Section {
            file: file.to_owned(),
            label: none.0.to_owned(),
            line: None,
        };
        TableCheck::new(&section, problems).table_error(Fault::new("at least one is required", none.1));
        return None;
    }
    let mut taken = Unique::default();
    let checked: Vec<_> = tables.iter().map(|table| one(table, &mut taken, problems)).collect();
    checked.into_iter().collect()
}

/// Names that may be used only once, with the line of the first.
#[derive(Debug, Default)]
pub struct Unique(BTreeMap<Name, Option<usize>>);

impl Unique {
    /// Takes a name; a problem if it is taken.
    pub fn take(&mut self, check: &mut TableCheck<'_>, field: &Field<String>, name: &Name) {
        match self.0.get(name) {
            None => {
                self.0.insert(name.clone(), check.section.line);
            }
            Some(line) => {
                let first = line.map_or_else(String::new, |line| format!(" (line {line})"));
                let what = format!("the name {name} is already taken{first}");
                check.error(
                    field,
                    Fault::new(what, format!("give each its own name, e.g. name = \"{name}-2\"")),
                );
            }
        }
    }
}
