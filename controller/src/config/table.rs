//! A TOML table that is read key by key: what has the wrong type and what nobody asked for become problems.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::duration;
use super::field::{Field, Given, cut};
use super::problem::{Fault, Problem, did_you_mean};
use super::raw::RawExperiment;
use super::section::Section;
use super::source::Text;

/// A table under reading. An absent table reads as an empty one.
pub(super) struct Table<'a> {
    text: &'a Text<'a>,
    table: Option<&'a DeTable<'a>>,
    section: Section,
    asked: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Table<'a> {
    /// The whole document.
    pub(super) fn root(file: &str, text: &'a Text<'a>, table: &'a DeTable<'a>) -> Self {
        let section = Section {
            file: file.to_owned(),
            ..Section::default()
        };
        Self::new(text, Some(table), section)
    }

    fn new(text: &'a Text<'a>, table: Option<&'a DeTable<'a>>, section: Section) -> Self {
        Self {
            text,
            table,
            section,
            asked: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Where this table stands.
    pub(super) fn section(&self) -> Section {
        self.section.clone()
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str) -> Field<String> {
        self.field(key, |value| match value {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            _ => Err(Fault::new("expected a string", "put it in quotation marks: \"...\"")),
        })
    }

    /// A whole number.
    pub(super) fn whole(&mut self, key: &'static str) -> Field<i64> {
        self.field(key, |value| match value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| Fault::new("number too large", "write one below 9223372036854775808")),
            _ => Err(Fault::new(
                "expected an integer",
                "write digits without quotation marks, e.g. 3",
            )),
        })
    }

    /// A number, with or without a fraction.
    pub(super) fn number(&mut self, key: &'static str) -> Field<f64> {
        let fault = || Fault::new("expected a number", "write it without quotation marks, e.g. 500 or 0.5");
        self.field(key, |value| match value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().map_err(|_| fault()),
            DeValue::Float(number) => number.as_str().parse().map_err(|_| fault()),
            _ => Err(fault()),
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Field<bool> {
        self.field(key, |value| {
            value
                .as_bool()
                .ok_or_else(|| Fault::new("expected true or false", "write it without quotation marks"))
        })
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Field<Vec<String>> {
        let fault = || Fault::new("expected a list of strings", "write e.g. [\"one\", \"two\"]");
        self.field(key, |value| match value {
            DeValue::Array(items) => items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned).ok_or_else(fault))
                .collect(),
            _ => Err(fault()),
        })
    }

    /// A duration, written as a text like `"10s"`.
    pub(super) fn duration(&mut self, key: &'static str) -> Field<Duration> {
        self.field(key, |value| match value {
            DeValue::String(text) => duration::parse(text),
            _ => Err(Fault::new(
                "expected a duration",
                "write e.g. \"10s\", \"500ms\" or \"2m\"",
            )),
        })
    }

    /// Whole numbers by name, as an inline table.
    pub(super) fn counts(&mut self, key: &'static str) -> Field<Vec<(String, i64)>> {
        let fault = || Fault::new("expected numbers by name", "write e.g. { one = 1, two = 2 }");
        self.field(key, |value| {
            let table = value.as_table().ok_or_else(fault)?;
            let count = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| match value.get_ref() {
                DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                    .map(|number| (name.get_ref().to_string(), number))
                    .map_err(|_| fault()),
                _ => Err(fault()),
            };
            table.iter().map(count).collect()
        })
    }

    fn field<T>(&mut self, key: &'static str, read: impl FnOnce(&DeValue<'_>) -> Result<T, Fault>) -> Field<T> {
        self.asked.push(key);
        let mut field = Field {
            key,
            line: None,
            option: None,
            shown: String::new(),
            given: Given::Absent,
        };
        let Some(value) = self.table.and_then(|table| table.get(key)) else {
            return field;
        };
        field.line = Some(self.text.line_of(value.span().start));
        field.shown = cut(self.text.all.get(value.span()).unwrap_or_default());
        field.given = Given::Wrong;
        match read(value.get_ref()) {
            Ok(read) => field.given = Given::Value(read),
            Err(fault) => self.problems.push(self.section.problem(&field, fault)),
        }
        field
    }

    /// The table under a key, e.g. `[kafka]`; an empty one if there is none.
    pub(super) fn table(&mut self, key: &'static str) -> Table<'a> {
        self.asked.push(key);
        let label = match self.section.label.trim_matches(['[', ']']) {
            "" => format!("[{key}]"),
            outer => format!("[{outer}.{key}]"),
        };
        let given = self.table.and_then(|table| table.get(key));
        let section = Section {
            label,
            line: given.map(|value| self.text.line_of(value.span().start)),
            file: self.section.file.clone(),
        };
        let table = given.and_then(|value| match value.get_ref() {
            // A table with double brackets; the first is checked.
            DeValue::Array(items) => items.first().and_then(|item| item.get_ref().as_table()),
            other => other.as_table(),
        });
        if given.is_some_and(|value| !value.get_ref().is_table()) {
            let remedy = format!("write {} on a line of its own and its keys below", section.label);
            self.problems
                .push(section.whole(Fault::new("expected a table", remedy)));
        }
        Table::new(self.text, table, section)
    }

    /// The tables under a key that may come more than once, e.g. `[[load]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'a>> {
        self.asked.push(key);
        let Some(given) = self.table.and_then(|table| table.get(key)) else {
            return Vec::new();
        };
        let label = match self.section.label.split(['[', ']']).find(|part| !part.is_empty()) {
            Some(outer) => format!("[[{outer}.{key}]]"),
            None => format!("[[{key}]]"),
        };
        let items: Vec<_> = match given.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            other => {
                let section = self.labelled(label.clone(), given);
                let remedy = format!("write {label} with two brackets on a line of its own and its keys below");
                let fault = Fault::new("expected an array of tables", remedy);
                self.problems.push(section.whole(fault));
                // One table with single brackets is checked like the first of a list.
                if other.is_table() { vec![given] } else { Vec::new() }
            }
        };
        let mut tables = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let name = item.get_ref().get("name").and_then(|name| name.get_ref().as_str());
            let numbered = match name {
                Some(name) => format!("{label} {:?}", cut(name)),
                None => format!("{label} {}", index + 1),
            };
            let section = self.labelled(numbered, item);
            match item.get_ref().as_table() {
                Some(table) => tables.push(Table::new(self.text, Some(table), section)),
                None => self.problems.push(section.whole(Fault::new(
                    "expected a table",
                    format!("write {label} and its keys below"),
                ))),
            }
        }
        tables
    }

    fn labelled(&self, label: String, value: &Spanned<DeValue<'_>>) -> Section {
        Section {
            file: self.section.file.clone(),
            label,
            line: Some(self.text.line_of(value.span().start)),
        }
    }

    /// Every key with its value as text, for options that are handed on as they are. `a.b = 1` and `"a.b" = 1` are the same option. What
    /// they hold is never shown: it may be a password.
    pub(super) fn options(mut self, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
        let mut options = Vec::new();
        if let Some(table) = self.table {
            self.options_under("", table, &mut options);
        }
        problems.append(&mut self.problems);
        options
    }

    fn options_under(&mut self, outer: &str, table: &DeTable<'_>, options: &mut Vec<(String, String)>) {
        for (key, value) in table {
            let name = format!("{outer}{}", key.get_ref());
            match value.get_ref() {
                DeValue::String(text) => options.push((name, text.clone().into_owned())),
                DeValue::Integer(number) => options.push((name, number.as_str().to_owned())),
                DeValue::Boolean(flag) => options.push((name, flag.to_string())),
                DeValue::Table(inner) => self.options_under(&format!("{name}."), inner, options),
                _ => {
                    let fault = Fault::new(
                        "expected a string, an integer, true or false",
                        "write e.g. \"security.protocol\" = \"ssl\"",
                    );
                    let mut problem = self.section.whole(fault);
                    problem.key = Some(cut(&name));
                    problem.line = Some(self.text.line_of(key.span().start));
                    self.problems.push(problem);
                }
            }
        }
    }

    /// Ends the reading: every key that nobody asked for is a problem. Says which were asked for.
    pub(super) fn end(mut self, problems: &mut Vec<Problem>) -> Vec<&'static str> {
        for (key, value) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let remedy = match (did_you_mean(name, self.asked.iter().copied()), home_of(name)) {
                (Some(word), _) => format!("did you mean {word}?"),
                (None, Some(table)) => format!("it belongs under {table}"),
                (None, None) => format!("known here: {}", self.asked.join(", ")),
            };
            let mut problem = self.section.whole(Fault::new("unknown key", remedy));
            problem.key = Some(cut(name));
            problem.value = value_shown(self.text.all, value);
            problem.line = Some(self.text.line_of(key.span().start));
            self.problems.push(problem);
        }
        problems.append(&mut self.problems);
        self.asked
    }
}

/// The table that has a key of this name.
fn home_of(key: &str) -> Option<&'static str> {
    let home = RawExperiment::TABLES.iter().find(|(_, keys)| keys.contains(&key));
    home.map(|(table, _)| *table)
}

/// A plain value as written; nothing of a table or list, which may be long.
fn value_shown(text: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
    let plain = !value.get_ref().is_table() && !value.get_ref().is_array();
    plain.then(|| text.get(value.span()).map(cut)).flatten()
}
