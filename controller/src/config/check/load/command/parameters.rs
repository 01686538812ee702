//! The parameters that a preset declares, and the values that a load gives them.

use std::collections::BTreeMap;

use protocol::load::command::{DURATION, OTHERS, TIMEOUT, WARM_UP};
use protocol::load::template;
use protocol::toml::{Fault, Field, TableCheck, did_you_mean, value};

use crate::config::raw::{RawParameter, RawPreset};

/// What a preset declares, by name.
#[derive(Debug, Default)]
pub(super) struct Declared(BTreeMap<String, Parameter>);

/// A parameter.
#[derive(Debug)]
struct Parameter {
    kind: Kind,
    /// `None`: the load has to give a value.
    default: Option<String>,
}

/// The values of a parameter.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Integer,
    Number,
    Text,
}

impl Kind {
    fn check(self, text: &str) -> Result<(), &'static str> {
        let is_number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
        match self {
            Self::Integer if text.parse::<u64>().is_err() => Err("a whole number, e.g. 64"),
            Self::Number if !is_number(text) => Err("a number, e.g. 0.5"),
            Self::Text if text.contains(char::is_control) => Err("a text of one line"),
            _ => Ok(()),
        }
    }
}

impl Declared {
    /// The default of every parameter; empty for those without.
    pub fn defaults(&self) -> BTreeMap<String, String> {
        let default =
            |(name, parameter): (&String, &Parameter)| (name.clone(), parameter.default.clone().unwrap_or_default());
        self.0.iter().map(default).collect()
    }
}

/// Checks the parameters of a preset; `None`: a problem is reported.
pub(super) fn declared(preset: &RawPreset, table: &mut TableCheck<'_>) -> Option<Declared> {
    let mut declared = Declared::default();
    let mut all = Some(());
    for raw in &preset.parameters {
        let mut table = table.elsewhere(&raw.section);
        match parameter(raw, &mut table) {
            Some((name, _)) if declared.0.contains_key(&name) => {
                table.error(
                    &raw.name,
                    Fault::new("this name is already taken", "give each parameter its own"),
                );
                all = None;
            }
            Some((name, parameter)) => drop(declared.0.insert(name, parameter)),
            None => all = None,
        }
    }
    all.map(|()| declared)
}

fn parameter(raw: &RawParameter, table: &mut TableCheck<'_>) -> Option<(String, Parameter)> {
    let name = table.required(&raw.name, "name = \"connections\"", |text| {
        let built_in = [&WARM_UP[..], &DURATION, &TIMEOUT, &OTHERS].concat();
        if built_in.contains(&text.as_str()) {
            return Err(Fault::new(
                "every program has this placeholder",
                "give the parameter another name",
            ));
        }
        let fault = || {
            Fault::new(
                "a parameter is named with a-z, 0-9 and _",
                "write e.g. name = \"connections\"",
            )
        };
        template::is_name(text).then(|| text.clone()).ok_or_else(fault)
    });
    let words = [
        ("integer", Kind::Integer),
        ("number", Kind::Number),
        ("text", Kind::Text),
    ];
    let kind = table.or(&raw.kind, Kind::Text, value::choice(&words))?;
    let default = table.optional(&raw.default, |text| {
        let fault = |must| Fault::new(format!("the parameter takes {must}"), "correct the default");
        kind.check(text).map(|()| text.clone()).map_err(fault)
    });
    Some((
        name?,
        Parameter {
            kind,
            default: default?,
        },
    ))
}

/// The value of every parameter; `None`: a problem is reported.
pub(super) fn values(
    declared: &Declared,
    given: &Field<Vec<(String, String)>>,
    table: &mut TableCheck<'_>,
) -> Option<BTreeMap<String, String>> {
    let values = table.optional(given, |pairs| {
        for (name, text) in pairs {
            let Some(parameter) = declared.0.get(name) else {
                return Err(unknown(declared, name));
            };
            if let Err(must) = parameter.kind.check(text) {
                return Err(Fault::new(
                    format!("{name} takes {must}"),
                    format!("correct {name} = {text:?}"),
                ));
            }
        }
        Ok(pairs.iter().cloned().collect::<BTreeMap<_, _>>())
    })?;
    let mut values = values.unwrap_or_default();
    for (name, parameter) in &declared.0 {
        if values.contains_key(name) {
            continue;
        }
        let Some(default) = &parameter.default else {
            let what = format!("the preset's parameter {name} has no default");
            table.error(
                given,
                Fault::new(what, format!("write e.g. parameters = {{ {name} = ... }}")),
            );
            return None;
        };
        values.insert(name.clone(), default.clone());
    }
    Some(values)
}

fn unknown(declared: &Declared, name: &str) -> Fault {
    let known = || declared.0.keys().map(String::as_str);
    let remedy = match did_you_mean(name, known()) {
        Some(known) => format!("did you mean {known}?"),
        None if declared.0.is_empty() => "remove it: the preset has none".to_owned(),
        None => format!("it has {}", known().collect::<Vec<_>>().join(", ")),
    };
    Fault::new(format!("the preset has no parameter {name}"), remedy)
}
