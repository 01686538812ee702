//! Finds figures in a program's output. A figure that cannot be told for certain is an error, never a guess.

use std::collections::BTreeMap;

use protocol::load::{CsvColumn, Extract, FigureSpec, Take};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::units::factor;

/// A figure of one run of a program.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is.
    pub spec: FigureSpec,
    /// Its value in [`FigureSpec::unit`]; `None`: the output does not tell it.
    pub value: Option<f64>,
}

/// A number in the output with its unit, before conversion.
#[derive(Debug, PartialEq)]
struct Reading {
    number: f64,
    unit: Option<String>,
}

/// The value of a figure in the part of the output that it is in; `None`: it may be absent, and it is.
///
/// # Errors
/// It is missing or ambiguous, it is not a number, or its unit is another one.
pub fn extract(spec: &FigureSpec, text: &str) -> Result<Option<f64>, String> {
    let fail = |why: String| format!("figure {} in {}: {why}", spec.name, spec.from);
    let found = match &spec.at {
        Extract::Json(pointer) => of_json(pointer, spec, text),
        Extract::Regex(pattern) => of_regex(pattern, spec, text),
        Extract::Csv(column) => of_csv(column, spec, text),
    };
    match found {
        Ok(readings) => {
            let values: Result<Vec<f64>, String> =
                readings.into_iter().map(|reading| converted(spec, reading)).collect();
            take(spec, &values.map_err(fail)?).map(Some).map_err(fail)
        }
        Err(NotFound::Malformed(why)) => Err(fail(why)),
        Err(NotFound::Absent(_)) if spec.otherwise.is_some() => Ok(spec.otherwise),
        Err(NotFound::Absent(_)) if spec.optional => Ok(None),
        Err(NotFound::Absent(why)) => Err(fail(why)),
    }
}

/// Why a figure was not found.
enum NotFound {
    /// The output does not have it.
    Absent(String),
    /// The output is not as it should be, so nothing can be said about it.
    Malformed(String),
}

fn of_json(pointer: &str, spec: &FigureSpec, text: &str) -> Result<Vec<Reading>, NotFound> {
    let document: Value = serde_json::from_str(text).map_err(|error| {
        NotFound::Malformed(format!(
            "it is not one JSON document: {error}; it begins {:?}",
            begin(text)
        ))
    })?;
    let Some(value) = document.pointer(pointer) else {
        let said = document.get("error").and_then(Value::as_str);
        let said = said
            .map(|error| format!("; its error is {error:?}"))
            .unwrap_or_default();
        return Err(NotFound::Absent(format!(
            "there is no {pointer:?}; {}{said}",
            nearest(&document, pointer)
        )));
    };
    let values = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) if spec.take.is_some() => fields.values().collect(),
        value => vec![value],
    };
    let readings: Result<Vec<_>, _> = values.into_iter().map(|value| json_number(value, spec)).collect();
    present(readings?, || format!("{pointer:?} is empty"))
}

fn json_number(value: &Value, spec: &FigureSpec) -> Result<Option<Reading>, NotFound> {
    match value {
        Value::Number(number) => Ok(number.as_f64().map(|number| Reading { number, unit: None })),
        Value::String(text) => reading(text, None, spec),
        Value::Null => Ok(None),
        other => Err(NotFound::Malformed(format!("{other} is not a number"))),
    }
}

/// What the document has where a pointer leads nowhere.
fn nearest(document: &Value, pointer: &str) -> String {
    let mut path = pointer;
    while let Some((outer, _)) = path.rsplit_once('/') {
        path = outer;
        if let Some(value) = document.pointer(path) {
            let place = if path.is_empty() { "the document" } else { path };
            return match value {
                Value::Object(fields) if fields.is_empty() => format!("{place} is empty"),
                Value::Object(fields) => {
                    let names: Vec<_> = fields.keys().take(12).map(String::as_str).collect();
                    format!("{place} has {}", names.join(", "))
                }
                Value::Array(items) => format!("{place} has {} items", items.len()),
                other => format!("{place} is {other}"),
            };
        }
    }
    "a pointer begins with /".to_owned()
}

/// Compiles the pattern of a figure; `^` and `$` match at lines.
///
/// # Errors
/// It is not a regular expression, or has no group.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(pattern)
        .multi_line(true)
        .build()
        .map_err(|error| error.to_string())?;
    let names: Vec<&str> = regex.capture_names().flatten().collect();
    if let Some(other) = names.iter().find(|name| !["value", "unit"].contains(name)) {
        return Err(format!("its groups may be called value and unit, not {other}"));
    }
    match (names.contains(&"value"), names.contains(&"unit")) {
        (false, true) => Err("it has a group unit and no group value".to_owned()),
        _ if regex.captures_len() < 2 => Err("it has no group in parentheses around the number".to_owned()),
        _ => Ok(regex),
    }
}

fn of_regex(pattern: &str, spec: &FigureSpec, text: &str) -> Result<Vec<Reading>, NotFound> {
    let regex = compile(pattern).map_err(NotFound::Malformed)?;
    let mut readings = Vec::new();
    let mut matches = 0;
    for found in regex.captures_iter(text) {
        matches += 1;
        if let Some(value) = found.name("value") {
            let unit = found.name("unit").map(|unit| unit.as_str());
            readings.push(reading(value.as_str(), unit, spec)?);
            continue;
        }
        let mut sum = None;
        for group in found.iter().skip(1).flatten() {
            if let Some(Reading { number, .. }) = reading(group.as_str(), None, spec)? {
                sum = Some(sum.unwrap_or(0.0) + number);
            }
        }
        readings.push(sum.map(|number| Reading { number, unit: None }));
    }
    present(readings, || match matches {
        0 => format!("nothing matches {pattern:?}; it ends {:?}", end(text)),
        _ => format!("{pattern:?} matches, but not a number"),
    })
}

fn of_csv(csv: &CsvColumn, spec: &FigureSpec, text: &str) -> Result<Vec<Reading>, NotFound> {
    let malformed = |error: csv::Error| NotFound::Malformed(format!("it is not CSV: {error}"));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(u8::try_from(csv.delimiter).unwrap_or(b','))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(malformed)?.clone();
    let places: BTreeMap<&str, usize> = header.iter().zip(0..).collect();
    let place = |column: &str| {
        let found = places.get(column).copied();
        found.ok_or_else(|| {
            let columns: Vec<_> = header.iter().take(20).collect();
            NotFound::Malformed(format!(
                "there is no column {column:?}; its header has {}",
                columns.join(", ")
            ))
        })
    };
    let own = place(&csv.column)?;
    let wanted: Result<Vec<_>, _> = csv
        .rows
        .iter()
        .map(|(column, value)| Ok((place(column)?, value)))
        .collect();
    let wanted = wanted?;
    let mut readings = Vec::new();
    for row in reader.records() {
        let row = row.map_err(malformed)?;
        if wanted
            .iter()
            .all(|(place, value)| row.get(*place) == Some(value.as_str()))
        {
            readings.push(reading(row.get(own).unwrap_or_default(), None, spec)?);
        }
    }
    present(readings, || {
        format!("no row with {:?} has a number in column {:?}", csv.rows, csv.column)
    })
}

/// The readings that have a value; absent if there is none.
fn present(readings: Vec<Option<Reading>>, why: impl FnOnce() -> String) -> Result<Vec<Reading>, NotFound> {
    let found: Vec<_> = readings.into_iter().flatten().collect();
    if found.is_empty() {
        Err(NotFound::Absent(why()))
    } else {
        Ok(found)
    }
}

/// The words by which programs say that they have no value.
const NO_VALUE: [&str; 7] = ["", "-", "nan", "-nan", "n/a", "null", "none"];

/// A number as it was printed; `None`: the program says that it has none.
fn reading(text: &str, unit: Option<&str>, spec: &FigureSpec) -> Result<Option<Reading>, NotFound> {
    let text = text.trim();
    if NO_VALUE.contains(&text.to_ascii_lowercase().as_str()) {
        return Ok(None);
    }
    let number = number(text, spec.thousands).map_err(NotFound::Malformed)?;
    let unit = unit.map(|unit| unit.trim().to_owned());
    Ok(Some(Reading { number, unit }))
}

/// A decimal number with a point, and groups of three digits if a separator is declared.
fn number(text: &str, thousands: Option<char>) -> Result<f64, String> {
    let fault = |remedy: &str| Err(format!("{text:?} is not a number{remedy}"));
    let digits = match thousands {
        Some(separator) if text.contains(separator) => match ungrouped(text, separator) {
            Some(digits) => digits,
            None => {
                return fault(&format!(
                    ": {separator:?} does not stand between groups of three digits"
                ));
            }
        },
        _ => text.to_owned(),
    };
    let is_plain = digits.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    match digits.parse::<f64>() {
        Ok(number) if is_plain && number.is_finite() => Ok(number),
        _ if digits.contains([',', '\'', ' ', '\u{a0}', '\u{202f}']) => fault(
            ": it has another separator than a decimal point; declare `thousands`, or make the program print it as in LC_ALL=C",
        ),
        _ => fault(""),
    }
}

/// The text without its separators, if they stand between groups of three digits before the decimal point.
fn ungrouped(text: &str, separator: char) -> Option<String> {
    let (whole, fraction) = text
        .split_once('.')
        .map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let unsigned = whole.trim_start_matches(['+', '-']);
    let mut groups = unsigned.split(separator);
    let first = groups.next()?;
    let is_grouped = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    let has_separator = fraction.is_some_and(|fraction| fraction.contains(separator));
    (is_grouped && separator != '.' && !has_separator).then(|| text.replace(separator, ""))
}

/// The value in the figure's own unit.
fn converted(spec: &FigureSpec, reading: Reading) -> Result<f64, String> {
    let unit = reading.unit.as_deref().filter(|unit| !unit.is_empty());
    let unit = unit.or(spec.given_in.as_deref());
    let Some(unit) = unit else { return Ok(reading.number) };
    match factor(unit, &spec.unit) {
        Some(factor) => Ok(reading.number * factor),
        None => Err(format!("{unit:?} cannot be converted to {:?}", spec.unit)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a small number of values")]
fn take(spec: &FigureSpec, values: &[f64]) -> Result<f64, String> {
    let sum = || values.iter().sum::<f64>();
    let found = match (spec.take, values) {
        (None, [only]) => Some(*only),
        (None, _) => {
            return Err(format!(
                "there are {} values; declare which one with `take`, or narrow it down",
                values.len()
            ));
        }
        (Some(Take::First), _) => values.first().copied(),
        (Some(Take::Last), _) => values.last().copied(),
        (Some(Take::Sum), _) => Some(sum()),
        (Some(Take::Mean), _) => Some(sum() / values.len() as f64),
        (Some(Take::Min), _) => values.iter().copied().reduce(f64::min),
        (Some(Take::Max), _) => values.iter().copied().reduce(f64::max),
    };
    found
        .filter(|value| value.is_finite())
        .ok_or_else(|| "it is not a finite number".to_owned())
}

/// The beginning of an output, for messages.
fn begin(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The end of an output, for messages.
fn end(text: &str) -> String {
    let text = text.trim_end();
    let count = text.chars().count();
    text.chars().skip(count.saturating_sub(120)).collect()
}

#[cfg(test)]
mod tests;
