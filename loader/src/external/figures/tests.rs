//! Each way to find a figure, with outputs of real programs and with what goes wrong.

use proptest::prelude::*;
use protocol::load::{Better, OutputPart};

use super::*;

fn spec(unit: &str, at: Extract) -> FigureSpec {
    FigureSpec {
        name: "x".parse().unwrap(),
        unit: unit.to_owned(),
        better: Better::Lower,
        from: OutputPart::Stdout,
        at,
        take: None,
        given_in: None,
        thousands: None,
        otherwise: None,
        optional: false,
        compare: true,
        counts: None,
    }
}

fn json(pointer: &str) -> FigureSpec {
    spec("ms", Extract::Json(pointer.to_owned()))
}

fn regex(pattern: &str) -> FigureSpec {
    spec("ms", Extract::Regex(pattern.to_owned()))
}

fn csv(column: &str, rows: &[(&str, &str)]) -> FigureSpec {
    let rows = rows
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    spec(
        "ms",
        Extract::Csv(CsvColumn {
            column: column.to_owned(),
            rows: rows.collect(),
            delimiter: ',',
        }),
    )
}

#[track_caller]
fn refused(spec: &FigureSpec, text: &str, says: &str) {
    let why = extract(spec, text).unwrap_err();
    assert!(why.contains(says), "{why}");
}

#[test]
fn a_pointer_finds_numbers_and_texts_of_numbers() {
    let text =
        r#"{"summary": {"p(99)": 1.5, "text": "2.5", "none": null, "list": [1, 2, 6], "flag": true, "empty": []}}"#;
    assert_eq!(extract(&json("/summary/p(99)"), text), Ok(Some(1.5)));
    assert_eq!(extract(&json("/summary/text"), text), Ok(Some(2.5)));
    let mut mean = json("/summary/list");
    refused(&mean, text, "there are 3 values; declare which one with `take`");
    mean.take = Some(Take::Mean);
    assert_eq!(extract(&mean, text), Ok(Some(3.0)));
    let mut sum = json("/codes");
    let codes = r#"{"codes": {"200": 5, "404": 2}, "errors": {}}"#;
    refused(&sum, codes, "is not a number");
    sum.take = Some(Take::Sum);
    assert_eq!(extract(&sum, codes), Ok(Some(7.0)));
    let errors = FigureSpec {
        otherwise: Some(0.0),
        ..sum
    };
    let errors = FigureSpec {
        at: Extract::Json("/errors".to_owned()),
        ..errors
    };
    assert_eq!(extract(&errors, codes), Ok(Some(0.0)));
    refused(&json("/summary/flag"), text, "true is not a number");
    refused(&json("/summary/none"), text, "is empty");
    refused(&json("/summary/empty"), text, "is empty");
}

#[test]
fn a_pointer_that_leads_nowhere_is_told_with_what_is_there() {
    let text = r#"{"summary": {"rate": 1, "total": 2}, "list": [1]}"#;
    refused(
        &json("/summary/p99"),
        text,
        "there is no \"/summary/p99\"; /summary has rate, total",
    );
    refused(&json("/sumary/p99"), text, "the document has list, summary");
    refused(&json("/list/3"), text, "/list has 1 items");
    refused(&json("/summary/rate/x"), text, "/summary/rate is 1");
    refused(&json("/x"), "wrk: not JSON", "it is not one JSON document");
    refused(&json("/x"), "{}\n{}", "it is not one JSON document");
    refused(&json("/x"), "", "it is not one JSON document");
    let mut optional = json("/summary/p99");
    optional.optional = true;
    assert_eq!(extract(&optional, text), Ok(None));
    refused(&optional, "no JSON", "it is not one JSON document");
}

#[test]
fn an_expression_finds_a_number_with_its_unit() {
    let text = "  Latency Distribution\n     50%  623.00us\n     75%    1.02ms\n     99%    4.69s\n";
    let at = |percent: &str| regex(&format!(r"^\s+{percent}%\s+(?<value>[\d.]+)(?<unit>\w+)$"));
    assert_eq!(extract(&at("50"), text), Ok(Some(0.623)));
    assert_eq!(extract(&at("75"), text), Ok(Some(1.02)));
    assert_eq!(extract(&at("99"), text), Ok(Some(4690.0)));
    refused(&at("90"), text, "nothing matches");
    refused(
        &at("50"),
        "  50%  3.00furlongs",
        "\"furlongs\" cannot be converted to \"ms\"",
    );
    refused(&at("50"), "  50%  3.00MB", "\"MB\" cannot be converted to \"ms\"");
}

#[test]
fn groups_are_added_and_matches_are_not() {
    let errors = regex(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)");
    let line = "  Socket errors: connect 1, read 20, write 0, timeout 300\n";
    assert_eq!(extract(&errors, line), Ok(Some(321.0)));
    refused(&errors, &line.repeat(2), "there are 2 values");
    let mut all = errors.clone();
    all.take = Some(Take::Sum);
    assert_eq!(extract(&all, &line.repeat(2)), Ok(Some(642.0)));
    let mut none = errors;
    none.otherwise = Some(0.0);
    assert_eq!(extract(&none, "30 requests"), Ok(Some(0.0)));
}

#[test]
fn expressions_without_a_number_to_find_are_refused() {
    for (pattern, says) in [
        ("(", "unclosed group"),
        (r"\d+", "no group in parentheses"),
        (r"(?<unit>\w+)", "no group value"),
        (r"(?<rate>\d+)", "not rate"),
    ] {
        let why = compile(pattern).unwrap_err();
        assert!(why.contains(says), "{pattern}: {why}");
    }
}

#[test]
fn a_column_is_found_by_name_and_row() {
    let text = "\"test\",\"rps\",\"p99_latency_ms\"\n\"SET\",\"21739.13\",\"3.431\"\n\"GET\",\"26881.72\",\"0.471\"\n";
    assert_eq!(
        extract(&csv("p99_latency_ms", &[("test", "GET")]), text),
        Ok(Some(0.471))
    );
    refused(&csv("p99_latency_ms", &[]), text, "there are 2 values");
    refused(
        &csv("p50", &[]),
        text,
        "there is no column \"p50\"; its header has test, rps, p99_latency_ms",
    );
    refused(&csv("rps", &[("name", "GET")]), text, "there is no column \"name\"");
    refused(&csv("rps", &[("test", "INCR")]), text, "no row with");
    refused(&csv("rps", &[]), "", "there is no column");
    refused(&csv("rps", &[]), "test,rps\nGET,1,2\n", "it is not CSV");
    let mut max = csv("rps", &[]);
    max.take = Some(Take::Max);
    assert_eq!(extract(&max, text), Ok(Some(26881.72)));
}

#[test]
fn what_the_program_does_not_know_is_absent() {
    for nothing in ["NaN", "-nan", "nan", "N/A", "-", "null"] {
        let mut p99 = regex(r"p99: (\S+)");
        let text = format!("p99: {nothing}");
        refused(&p99, &text, "matches, but not a number");
        p99.optional = true;
        assert_eq!(extract(&p99, &text), Ok(None), "{nothing}");
    }
    refused(&regex(r"p99: (\S+)"), "p99: inf", "\"inf\" is not a number");
    refused(&regex(r"p99: (\S+)"), "p99: 1e999", "is not a number");
}

#[test]
fn separators_of_thousands_are_declared() {
    let mut rate = regex(r"rate: (.+)$");
    refused(
        &rate,
        "rate: 1,234",
        "another separator than a decimal point; declare `thousands`",
    );
    rate.thousands = Some(',');
    assert_eq!(extract(&rate, "rate: 1,234,567.5"), Ok(Some(1_234_567.5)));
    assert_eq!(extract(&rate, "rate: 123.25"), Ok(Some(123.25)));
    for wrong in ["1,23", "1234,567", "0,5", "1,234.5,6", ",123"] {
        refused(
            &rate,
            &format!("rate: {wrong}"),
            "does not stand between groups of three digits",
        );
    }
    rate.thousands = Some('\'');
    assert_eq!(extract(&rate, "rate: -1'234"), Ok(Some(-1234.0)));
}

#[test]
fn localized_output_is_refused() {
    for text in ["rate: 0,5", "rate: 1.234,5", "rate: 12\u{202f}345", "rate: 1\u{a0}234"] {
        refused(&regex(r"rate: (.+)$"), text, "as in LC_ALL=C");
    }
    refused(&regex(r"rate: (.+)$"), "rate: \u{663}\u{664}", "is not a number");
    refused(&regex(r"rate: (.+)$"), "rate: 0x10", "is not a number");
}

#[test]
fn the_unit_of_the_output_is_converted() {
    let mut seconds = json("/p99");
    seconds.given_in = Some("s".to_owned());
    assert_eq!(extract(&seconds, "{\"p99\": 0.25}"), Ok(Some(250.0)));
    seconds.given_in = Some("MiB".to_owned());
    refused(&seconds, "{\"p99\": 0.25}", "\"MiB\" cannot be converted to \"ms\"");
}

proptest! {
    #[test]
    fn arbitrary_output_does_not_panic(text in any::<String>(), lines in "[0-9,.'a-z:\n ]{0,60}") {
        for text in [&text, &lines] {
            for spec in [json("/a"), regex("(.+)"), csv("a", &[("b", "c")])] {
                let _ = extract(&spec, text);
            }
        }
    }

    #[test]
    fn printed_numbers_are_read_back(value in -1e12..1e12f64) {
        prop_assert_eq!(extract(&regex("(.+)"), &format!("{value}")), Ok(Some(value)));
    }
}
