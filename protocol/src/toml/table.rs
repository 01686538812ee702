//! A TOML table that is read key by key: values of the wrong type and unknown keys become problems.

use std::collections::BTreeMap;
use std::time::Duration;

use ::toml::Spanned;
use ::toml::de::{DeString, DeTable, DeValue};

use super::document::Document;
use super::field::{Field, Given, Section, cut};
use super::problem::{Fault, Problem, did_you_mean};
use super::units::parse_duration;
use super::value;
use crate::spec::{CpuSet, Parameter};

/// The tables of a file with their keys, for unknown keys that belong elsewhere.
pub type Homes = &'static [(&'static str, &'static [&'static str])];

/// A table being read. An absent table reads as an empty one.
#[derive(Debug)]
pub struct Table<'a> {
    /// Where values are looked for; the first that has a key wins.
    layers: Vec<Layer<'a>>,
    section: Section,
    homes: Homes,
    asked: Vec<&'static str>,
    problems: Vec<Problem>,
}

/// A table in one of several documents.
#[derive(Clone, Copy, Debug)]
struct Layer<'a> {
    document: &'a Document<'a>,
    table: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The top level of layered documents, of which the first that has a key wins. Problems that have no document of their own name `file`.
    #[must_use]
    pub fn root(file: &str, documents: impl IntoIterator<Item = &'a Document<'a>>, homes: Homes) -> Self {
        let layer = |document: &'a Document<'a>| Layer {
            document,
            table: &document.root,
        };
        let section = Section {
            file: file.to_owned(),
            ..Section::default()
        };
        Self::new(documents.into_iter().map(layer).collect(), section, homes)
    }

    fn new(layers: Vec<Layer<'a>>, section: Section, homes: Homes) -> Self {
        Self {
            layers,
            section,
            homes,
            asked: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The location of this table.
    #[must_use]
    pub fn section(&self) -> Section {
        self.section.clone()
    }

    /// A string.
    pub fn string(&mut self, key: &'static str) -> Field<String> {
        self.field(key, |value| match value {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            _ => Err(expected_string()),
        })
    }

    /// A string; a number, `true` or `false` is taken as its text.
    pub fn word(&mut self, key: &'static str) -> Field<String> {
        self.field(key, |value| plain(value).ok_or_else(expected_string))
    }

    /// An integer.
    pub fn integer(&mut self, key: &'static str) -> Field<i64> {
        self.field(key, integer)
    }

    /// An integer, or a list of them.
    pub fn integers(&mut self, key: &'static str) -> Field<Vec<i64>> {
        let fault = || Fault::new("expected an integer, or a list of them", "write e.g. 200 or [200, 204]");
        self.field(key, |value| match value {
            DeValue::Array(items) => {
                let items = items.iter().map(|item| integer(item.get_ref()).ok());
                items.collect::<Option<_>>().ok_or_else(fault)
            }
            value => integer(value).map(|one| vec![one]).map_err(|_| fault()),
        })
    }

    /// An integer, which may be in quotation marks.
    pub fn quotable_integer(&mut self, key: &'static str) -> Field<i64> {
        self.field(key, |value| match value {
            DeValue::String(text) => text.trim().parse().map_err(|_| expected_integer()),
            value => integer(value),
        })
    }

    /// A number, with or without a fraction.
    pub fn number(&mut self, key: &'static str) -> Field<f64> {
        let fault = || Fault::new("expected a number", "write it without quotation marks, e.g. 500 or 0.5");
        self.field(key, |value| match value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().map_err(|_| fault()),
            DeValue::Float(number) => number.as_str().parse().map_err(|_| fault()),
            _ => Err(fault()),
        })
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Field<bool> {
        self.field(key, |value| {
            value
                .as_bool()
                .ok_or_else(|| Fault::new("expected true or false", "write it without quotation marks"))
        })
    }

    /// A list of strings: `["a", "b"]`, or `"a, b"`.
    pub fn list(&mut self, key: &'static str) -> Field<Vec<String>> {
        self.field(key, |value| {
            let string = |item: &DeValue<'_>| item.as_str().map(str::to_owned);
            list(value, string).ok_or_else(|| Fault::new("expected a list of strings", "write e.g. [\"one\", \"two\"]"))
        })
    }

    /// A list of strings that may hold commas: `["a, b", "c"]`.
    pub fn items(&mut self, key: &'static str) -> Field<Vec<String>> {
        self.field(key, |value| {
            let string = |item: &DeValue<'_>| item.as_str().map(str::to_owned);
            let array = value.as_array().and_then(|_| list(value, string));
            array.ok_or_else(|| Fault::new("expected a list of strings", "write e.g. [\"one\", \"two\"]"))
        })
    }

    /// A duration such as `"10s"`.
    pub fn duration(&mut self, key: &'static str) -> Field<Duration> {
        self.field(key, |value| match value {
            DeValue::String(text) => parse_duration(text),
            _ => Err(Fault::new(
                "expected a duration",
                "write e.g. \"10s\", \"500ms\" or \"2m\"",
            )),
        })
    }

    /// A size in bytes: an integer, or e.g. `"64KiB"`.
    pub fn bytes(&mut self, key: &'static str) -> Field<i64> {
        self.size(key, 1)
    }

    /// A size in MiB: an integer, or e.g. `"2GiB"`.
    pub fn mib(&mut self, key: &'static str) -> Field<i64> {
        self.size(key, 1 << 20)
    }

    fn size(&mut self, key: &'static str, unit: u64) -> Field<i64> {
        self.field(key, |value| match value {
            DeValue::String(text) => value::size(text, unit),
            value => integer(value),
        })
    }

    /// A set of CPUs: `"0-1,3"`, `3` or `[0, 1, 3]`.
    pub fn cpus(&mut self, key: &'static str) -> Field<CpuSet> {
        self.field(key, |value| {
            let parts = list(value, plain).or_else(|| Some(vec![plain(value)?]));
            value::cpus(&parts.unwrap_or_default().join(","))
        })
    }

    /// Integers by name, as an inline table.
    pub fn counts(&mut self, key: &'static str) -> Field<Vec<(String, i64)>> {
        let fault = || Fault::new("expected numbers by name", "write e.g. { one = 1, two = 2 }");
        self.by_name(key, fault, |value| integer(value).ok())
    }

    /// Values of parameters by name, as a table.
    pub fn parameters(&mut self, key: &'static str) -> Field<Vec<(String, Parameter)>> {
        let fault = || {
            Fault::new(
                "expected integers, texts, true or false by name",
                "write e.g. { port = 8080, policy = \"allkeys-lru\" }",
            )
        };
        self.by_name(key, fault, |value| match value {
            DeValue::String(text) => Some(Parameter::from(&**text)),
            DeValue::Boolean(flag) => Some(Parameter::Boolean(*flag)),
            value => integer(value).ok().map(Parameter::Integer),
        })
    }

    /// Strings by name, as a table.
    pub fn strings(&mut self, key: &'static str) -> Field<Vec<(String, String)>> {
        let fault = || {
            Fault::new(
                "expected strings by name",
                "write e.g. { \"one\" = \"a\", \"two\" = \"b\" }",
            )
        };
        self.by_name(key, fault, |value| value.as_str().map(str::to_owned))
    }

    /// Strings, numbers, `true` and `false` by name, as JSON.
    pub fn scalars(&mut self, key: &'static str) -> Field<Vec<(String, serde_json::Value)>> {
        let fault = || {
            Fault::new(
                "expected strings, numbers, true or false by name",
                "write e.g. { \"/one\" = 1, \"/two\" = \"b\" }",
            )
        };
        self.by_name(key, fault, |value| match value {
            DeValue::Integer(_) => integer(value).ok().map(Into::into),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok().map(Into::into),
            DeValue::Boolean(flag) => Some((*flag).into()),
            DeValue::String(text) => Some(text.as_ref().into()),
            _ => None,
        })
    }

    /// Strings, numbers, `true` or `false` by name, as a table; each is taken as its text.
    pub fn words(&mut self, key: &'static str) -> Field<Vec<(String, String)>> {
        let fault = || Fault::new("expected values by name", "write e.g. { one = 1, two = \"b\" }");
        self.by_name(key, fault, plain)
    }

    fn by_name<T>(
        &mut self,
        key: &'static str,
        fault: impl Fn() -> Fault,
        read: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Field<Vec<(String, T)>> {
        self.field(key, |value| {
            let one = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                Some((name.get_ref().to_string(), read(value.get_ref())?))
            };
            let table = value.as_table().ok_or_else(&fault)?;
            table.iter().map(one).collect::<Option<_>>().ok_or_else(&fault)
        })
    }

    fn field<T>(&mut self, key: &'static str, read: impl FnOnce(&DeValue<'_>) -> Result<T, Fault>) -> Field<T> {
        let mut field = Field {
            key,
            source: None,
            line: None,
            shown: String::new(),
            given: Given::Absent,
        };
        // A key that two structs read has its problem once.
        let is_new = !self.asked.contains(&key);
        let Some((document, value)) = self.find(key) else {
            return field;
        };
        field.source = Some(document.source.clone());
        field.line = document.line_of(value.span().start);
        field.shown = document.shown(value);
        field.given = Given::Invalid;
        match read(value.get_ref()) {
            Ok(read) => field.given = Given::Value(read),
            Err(fault) if is_new => self.problems.push(self.section.field_problem(&field, fault)),
            Err(_) => {}
        }
        field
    }

    /// The value of a key, in the first layer that has it.
    fn find(&mut self, key: &'static str) -> Option<(&'a Document<'a>, &'a Spanned<DeValue<'a>>)> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let mut layers = self.layers.iter();
        layers.find_map(|layer| Some((layer.document, layer.table.get(key)?)))
    }

    /// The table under a key if there is one; see [`Self::table`].
    #[must_use]
    pub fn table_if_given(&mut self, key: &'static str) -> Option<Self> {
        let is_given = self.layers.iter().any(|layer| layer.table.contains_key(key));
        is_given.then(|| self.table(key))
    }

    /// The table under a key, e.g. `[kafka]`, of all layers; an empty one if there is none.
    #[must_use]
    pub fn table(&mut self, key: &'static str) -> Self {
        let label = match self.section.label.split(['[', ']']).find(|part| !part.is_empty()) {
            None => format!("[{key}]"),
            Some(outer) => format!("[{outer}.{key}]"),
        };
        let section = match self.find(key) {
            Some((document, value)) => located(document, label, value),
            None => Section {
                label,
                file: self.section.file.clone(),
                line: None,
            },
        };
        let mut layers = Vec::new();
        for Layer { document, table } in &self.layers {
            let Some(value) = table.get(key) else { continue };
            let found = match value.get_ref() {
                DeValue::Table(table) => Some(table),
                other => {
                    let section = located(document, section.label.clone(), value);
                    let remedy = format!("write {} on a line of its own and its keys below", section.label);
                    self.problems
                        .push(section.problem(Fault::new("expected a table", remedy)));
                    // A table with double brackets; the first is checked.
                    let items = other.as_array();
                    items.and_then(|items| items.first()?.get_ref().as_table())
                }
            };
            layers.extend(found.map(|table| Layer { document, table }));
        }
        Self::new(layers, section, self.homes)
    }

    /// The tables under a key that may be repeated, e.g. `[[load]]`.
    #[must_use]
    pub fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some((document, given)) = self.find(key) else {
            return Vec::new();
        };
        let label = match self.section.label.split(['[', ']']).find(|part| !part.is_empty()) {
            Some(outer) => format!("[[{outer}.{key}]]"),
            None => format!("[[{key}]]"),
        };
        let items: Vec<_> = match given.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            other => {
                let section = located(document, label.clone(), given);
                let remedy = format!("write {label} with two brackets on a line of its own and its keys below");
                let fault = Fault::new("expected an array of tables", remedy);
                self.problems.push(section.problem(fault));
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
            let section = located(document, numbered, item);
            match item.get_ref().as_table() {
                Some(table) => tables.push(Self::new(vec![Layer { document, table }], section, self.homes)),
                None => self.problems.push(section.problem(Fault::new(
                    "expected a table",
                    format!("write {label} and its keys below"),
                ))),
            }
        }
        tables
    }

    /// Ends the reading of a table of options that are passed on as they are: every key with its value as a string. `a.b = 1` and
    /// `"a.b" = 1` are the same option. Values are never shown: they may be passwords.
    pub fn options(mut self, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
        let mut options = BTreeMap::new();
        for layer in self.layers.clone().into_iter().rev() {
            self.options_under("", layer, &mut options);
        }
        problems.append(&mut self.problems);
        options
    }

    fn options_under(&mut self, outer: &str, layer: Layer<'_>, options: &mut BTreeMap<String, String>) {
        for (key, value) in layer.table {
            let name = format!("{outer}{}", key.get_ref());
            if let DeValue::Table(table) = value.get_ref() {
                self.options_under(&format!("{name}."), Layer { table, ..layer }, options);
            } else if let Some(text) = plain(value.get_ref()) {
                options.insert(name, text);
            } else {
                let fault = Fault::new(
                    "expected a string, an integer, true or false",
                    "write e.g. \"security.protocol\" = \"ssl\"",
                );
                self.key_problem(layer, key, &name, None, fault);
            }
        }
    }

    /// Reads it by `read`, and ends the reading.
    pub fn read_whole<T>(mut self, read: fn(&mut Table<'_>) -> T, problems: &mut Vec<Problem>) -> T {
        let raw = read(&mut self);
        self.end(problems);
        raw
    }

    /// Reads each of these tables as [`Self::read_whole`] does.
    pub fn read_every<T>(tables: Vec<Self>, read: fn(&mut Table<'_>) -> T, problems: &mut Vec<Problem>) -> Vec<T> {
        tables
            .into_iter()
            .map(|table| table.read_whole(read, problems))
            .collect()
    }

    /// Ends the reading: every key that was not asked for is a problem.
    pub fn end(mut self, problems: &mut Vec<Problem>) {
        for layer in self.layers.clone() {
            for (key, value) in layer.table {
                let name: &str = key.get_ref();
                if self.asked.contains(&name) {
                    continue;
                }
                let home = self.homes.iter().find(|(_, keys)| keys.contains(&name));
                let remedy = match (did_you_mean(name, self.asked.iter().copied()), home) {
                    (Some(word), _) => format!("did you mean {word}?"),
                    (None, Some((table, _))) => format!("it belongs under {table}"),
                    (None, None) => format!("known here: {}", self.asked.join(", ")),
                };
                // Tables and lists may be long.
                let is_plain = !value.get_ref().is_table() && !value.get_ref().is_array();
                let shown = is_plain.then(|| layer.document.shown(value));
                self.key_problem(layer, key, name, shown, Fault::new("unknown key", remedy));
            }
        }
        problems.append(&mut self.problems);
    }

    fn key_problem(
        &mut self,
        layer: Layer<'_>,
        key: &Spanned<DeString<'_>>,
        name: &str,
        value: Option<String>,
        fault: Fault,
    ) {
        self.problems.push(Problem {
            file: layer.document.source.clone(),
            line: layer.document.line_of(key.span().start),
            key: Some(cut(name)),
            value,
            ..self.section.problem(fault)
        });
    }
}

fn located(document: &Document<'_>, label: String, value: &Spanned<DeValue<'_>>) -> Section {
    Section {
        file: document.source.clone(),
        label,
        line: document.line_of(value.span().start),
    }
}

fn expected_string() -> Fault {
    Fault::new("expected a string", "put it in quotation marks: \"...\"")
}

fn expected_integer() -> Fault {
    Fault::new("expected an integer", "write digits without quotation marks, e.g. 3")
}

fn integer(value: &DeValue<'_>) -> Result<i64, Fault> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| Fault::new("number too large", "write one below 9223372036854775808")),
        _ => Err(expected_integer()),
    }
}

/// The text of a value that is not a list or a table.
fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The parts of a list, or of a string with commas.
fn list(value: &DeValue<'_>, item: impl Fn(&DeValue<'_>) -> Option<String>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(items) => items.iter().map(|part| item(part.get_ref())).collect(),
        DeValue::String(text) => Some(text.split(',').map(|part| part.trim().to_owned()).collect()),
        _ => None,
    }
}

/// A struct of raw [`Field`]s, one for each key, and the function that reads it. The key, the reader's method and its type are written once.
#[macro_export]
macro_rules! raw_table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $key:ident: $read:ident -> $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            /// The location of the table.
            pub section: $crate::toml::Section,
            $($(#[$field_doc])* pub $key: $crate::toml::Field<$type>,)*
        }

        impl $name {
            /// Every key that the table may have.
            pub const KEYS: &[&str] = &[$(stringify!($key)),*];

            /// Reads the table's own keys.
            #[must_use]
            pub fn read(table: &mut $crate::toml::Table<'_>) -> Self {
                Self {
                    section: table.section(),
                    $($key: table.$read(stringify!($key)),)*
                }
            }

            /// The keys that are there, without their values.
            #[must_use]
            pub fn given(&self) -> Vec<$crate::toml::Field<()>> {
                [$(self.$key.bare()),*].into_iter().filter(|field| !field.is_absent()).collect()
            }
        }
    };
}
