//! `[[load.figure]]` and a preset's `[[figure]]`.

use loader::external::{figures::compile, units};
use protocol::load::{Better, CountOf, CsvColumn, Extract, FigureSpec, OutputPart, Take};
use protocol::toml::{Fault, TableCheck, value};

use super::{file_name, line};
use crate::config::raw::RawFigure;

/// Checks every figure; `None`: a problem is reported.
pub(super) fn check(raw: &[RawFigure], table: &mut TableCheck<'_>) -> Option<Vec<FigureSpec>> {
    let mut figures: Vec<FigureSpec> = Vec::new();
    let mut all = Some(());
    for raw in raw {
        let mut table = table.elsewhere(&raw.section);
        match figure(raw, &mut table) {
            Some(figure) if figures.iter().all(|known| known.name != figure.name) => figures.push(figure),
            Some(_) => {
                table.error(
                    &raw.name,
                    Fault::new("this name is already taken", "give each figure its own"),
                );
                all = None;
            }
            None => all = None,
        }
    }
    all.map(|()| figures)
}

fn figure(raw: &RawFigure, table: &mut TableCheck<'_>) -> Option<FigureSpec> {
    let name = table.required(&raw.name, "name = \"throughput\"", value::name);
    let unit = table.required(&raw.unit, "unit = \"ms\"", unit);
    let words = [
        ("higher", Better::Higher),
        ("lower", Better::Lower),
        ("neither", Better::Neither),
    ];
    let better = table.required(&raw.better, "better = \"lower\"", value::choice(&words));
    let from = table.or(&raw.from, OutputPart::Stdout, |text| match text.as_str() {
        "stdout" => Ok(OutputPart::Stdout),
        "stderr" => Ok(OutputPart::Stderr),
        _ => file_name(text).map(OutputPart::File),
    });
    let at = extract(raw, table);
    let words = [
        ("first", Take::First),
        ("last", Take::Last),
        ("sum", Take::Sum),
        ("mean", Take::Mean),
        ("min", Take::Min),
        ("max", Take::Max),
    ];
    let take = table.optional(&raw.take, value::choice(&words));
    let given_in = given_in(raw, unit.as_deref(), table);
    let thousands = table.optional(&raw.thousands, |text| character("a separator", text));
    let otherwise = table.optional(&raw.otherwise, |&number| {
        let fault = || Fault::new("not a finite number", "write e.g. 0");
        number.is_finite().then_some(number).ok_or_else(fault)
    });
    let optional = table.or(&raw.optional, false, value::any);
    if let (Some(Some(_)), Some(true)) = (otherwise, optional) {
        let what = "with a value for its absence the figure is never absent";
        table.error(&raw.optional, Fault::new(what, "remove it or `otherwise`"));
    }
    let compare = table.or(&raw.compare, better != Some(Better::Neither), value::any);
    let words = [
        ("requests", CountOf::Requests),
        ("successes", CountOf::Successes),
        ("failures", CountOf::Failures),
    ];
    let counts = table.optional(&raw.counts, value::choice(&words));
    Some(FigureSpec {
        name: name?,
        unit: unit?,
        better: better?,
        from: from?,
        at: at?,
        take: take?,
        given_in: given_in?,
        thousands: thousands?,
        otherwise: otherwise?,
        optional: optional?,
        compare: compare?,
        counts: counts?,
    })
}

/// The one way in which it is found.
fn extract(raw: &RawFigure, table: &mut TableCheck<'_>) -> Option<Extract> {
    let given = [&raw.json, &raw.regex, &raw.column].map(|field| !field.is_absent());
    let fault = |what| {
        Fault::new(
            what,
            "write one of json = \"/pointer\", regex = '(\\d+) requests' and column = \"name\"",
        )
    };
    match given {
        [true, false, false] => {
            csv_keys(raw, table);
            table.optional(&raw.json, pointer)?.map(Extract::Json)
        }
        [false, true, false] => {
            csv_keys(raw, table);
            let pattern = table.optional(&raw.regex, |text| {
                let remedy = "see docs.rs/regex for the syntax, e.g. regex = 'p99: (\\S+) ms'";
                compile(text)
                    .map(|_| text.clone())
                    .map_err(|why| Fault::new(why, remedy))
            })?;
            pattern.map(Extract::Regex)
        }
        [false, false, true] => csv(raw, table),
        [false, false, false] => {
            table.table_error(fault("it is not said where the figure stands in the output"));
            None
        }
        _ => {
            table.table_error(fault("a figure is found in one way"));
            None
        }
    }
}

/// Keys that only a figure of a CSV has.
fn csv_keys(raw: &RawFigure, table: &mut TableCheck<'_>) {
    let (what, remedy) = ("only a figure with `column` has this key", "remove it");
    table.forbid(&raw.rows, what, remedy);
    table.forbid(&raw.delimiter, what, remedy);
}

fn csv(raw: &RawFigure, table: &mut TableCheck<'_>) -> Option<Extract> {
    let column = table.optional(&raw.column, |text| line("a column", text));
    let rows = table.optional(&raw.rows, value::any);
    let delimiter = table.or(&raw.delimiter, ',', |text| match character("a delimiter", text) {
        Ok(c) if !c.is_ascii() => Err(Fault::new("a delimiter is an ASCII character", "write e.g. \";\"")),
        other => other,
    });
    Some(Extract::Csv(CsvColumn {
        column: column??,
        rows: rows?.unwrap_or_default().into_iter().collect(),
        delimiter: delimiter?,
    }))
}

/// The unit in the output, which must be convertible.
fn given_in(raw: &RawFigure, unit: Option<&str>, table: &mut TableCheck<'_>) -> Option<Option<String>> {
    table.optional(&raw.given_in, |text| {
        let unit = unit.unwrap_or(text);
        if units::factor(text, unit).is_some() {
            return Ok(text.clone());
        }
        let what = format!("this unit cannot be converted to {unit:?}");
        Err(Fault::new(
            what,
            "known are ns us ms s min h, B kB MB GB KiB MiB GiB, bit kbit Mbit Gbit, each also with /s, and 1 %",
        ))
    })
}

#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn pointer(text: &String) -> Result<String, Fault> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(text.clone());
    }
    let what = "a JSON pointer (RFC 6901) begins with /";
    Err(Fault::new(what, format!("write e.g. \"/{}\"", text.replace('.', "/"))))
}

#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn unit(text: &String) -> Result<String, Fault> {
    if (1..=32).contains(&text.chars().count()) && !text.contains(char::is_control) {
        return Ok(text.clone());
    }
    Err(Fault::new(
        "a unit has 1 to 32 characters",
        "write e.g. \"req/s\", \"ms\" or \"1\"",
    ))
}

fn character(what: &str, text: &str) -> Result<char, Fault> {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(c), None) if !c.is_alphanumeric() => Ok(c),
        _ => Err(Fault::new(
            format!("{what} is one character, not a letter or digit"),
            "write e.g. \",\"",
        )),
    }
}
