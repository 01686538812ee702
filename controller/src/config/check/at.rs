//! One table under check: fields in, values or problems out.

use std::collections::BTreeMap;

use protocol::ids::Name;

use super::value;
use crate::config::field::{Field, Given};
use crate::config::problem::{Fault, Problem, Severity};
use crate::config::section::Section;

/// The table under check and where its problems go.
pub(super) struct At<'a> {
    section: &'a Section,
    problems: &'a mut Vec<Problem>,
}

impl<'a> At<'a> {
    pub(super) fn new(section: &'a Section, problems: &'a mut Vec<Problem>) -> Self {
        Self { section, problems }
    }

    /// Another table, with the same problems.
    pub(super) fn elsewhere<'b>(&'b mut self, section: &'b Section) -> At<'b> {
        At {
            section,
            problems: self.problems,
        }
    }

    /// A value that must be there; `example` is a line that would do.
    pub(super) fn required<T, U>(
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
    pub(super) fn or<T, U>(
        &mut self,
        field: &Field<T>,
        default: U,
        parse: impl FnOnce(&T) -> Result<U, Fault>,
    ) -> Option<U> {
        self.optional(field, parse).map(|value| value.unwrap_or(default))
    }

    /// A value that may be absent: `Some(None)`. `None` has left a problem.
    pub(super) fn optional<T, U>(
        &mut self,
        field: &Field<T>,
        parse: impl FnOnce(&T) -> Result<U, Fault>,
    ) -> Option<Option<U>> {
        match &field.given {
            Given::Absent => Some(None),
            Given::Wrong => None,
            Given::Value(value) => match parse(value) {
                Ok(value) => Some(Some(value)),
                Err(fault) => {
                    self.error(field, fault);
                    None
                }
            },
        }
    }

    /// The name of a table of its own, or else the word of its kind; `None` has left a problem, here or at the kind.
    pub(super) fn name_or_kind(
        &mut self,
        name: &Field<String>,
        kind: &Field<String>,
        taken: &mut Unique,
    ) -> Option<Name> {
        let (field, name) = match self.optional(name, value::name)? {
            Some(own) => (name, own),
            None => (kind, kind.value()?.parse().ok()?),
        };
        taken.take(self, field, &name);
        Some(name)
    }

    /// A value that has no place here, e.g. a key of another kind.
    pub(super) fn foreign<T>(&mut self, field: &Field<T>, what: &str, remedy: &str) {
        if !matches!(field.given, Given::Absent) {
            self.error(field, Fault::new(what, remedy));
        }
    }

    /// Notes that a value is wrong.
    pub(super) fn error<T>(&mut self, field: &Field<T>, fault: Fault) {
        self.problems.push(self.section.problem(field, fault));
    }

    /// Notes that somebody should look at a value.
    pub(super) fn warn<T>(&mut self, field: &Field<T>, fault: Fault) {
        let mut problem = self.section.problem(field, fault);
        problem.severity = Severity::Warning;
        self.problems.push(problem);
    }

    /// Notes that a table is wrong as a whole.
    pub(super) fn whole(&mut self, fault: Fault) {
        self.problems.push(self.section.whole(fault));
    }
}

/// Checks every table of a kind, of which there has to be one; `none`: its heading, and what to write where there is none. `None` has left a problem.
pub(super) fn each<R, T>(
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
        At::new(&section, problems).whole(Fault::new("there is none, and at least one is needed", none.1));
        return None;
    }
    let mut taken = Unique::default();
    let checked: Vec<_> = tables.iter().map(|table| one(table, &mut taken, problems)).collect();
    checked.into_iter().collect()
}

/// Names that may stand only once, with the line of the first.
#[derive(Default)]
pub(super) struct Unique(BTreeMap<Name, Option<usize>>);

impl Unique {
    /// Takes a name; a problem if it is taken.
    pub(super) fn take(&mut self, at: &mut At<'_>, field: &Field<String>, name: &Name) {
        match self.0.get(name) {
            None => {
                self.0.insert(name.clone(), at.section.line);
            }
            Some(line) => {
                let first = line.map_or_else(String::new, |line| format!(" (line {line})"));
                let what = format!("the name {name} is already taken{first}");
                at.error(
                    field,
                    Fault::new(what, format!("give each its own name, e.g. name = \"{name}-2\"")),
                );
            }
        }
    }
}
