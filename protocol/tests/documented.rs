//! `docs/metrics.md` defines every counter and its source.

use std::collections::BTreeSet;

use protocol::sample::Counter;

#[test]
fn every_counter_is_documented_with_its_source() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let begin = text
        .find("Every counter, its file")
        .expect("start of the counter tables");
    let end = text[begin..]
        .find("Sampling tiers:")
        .expect("end of the counter tables")
        + begin;
    let rows = text[begin..end].lines().filter(|line| line.starts_with("| `"));
    // The first cell contains counter names, the others the source.
    let defined: BTreeSet<&str> = rows
        .filter_map(|row| {
            let mut cells = row.trim_matches('|').splitn(2, '|');
            let (names, source) = (cells.next()?, cells.next()?);
            (source.trim().len() > 3).then_some(names)
        })
        .flat_map(|names| names.split('`').skip(1).step_by(2))
        .collect();
    let missing: Vec<&Counter> = Counter::ALL
        .iter()
        .filter(|counter| !defined.contains(counter.name()))
        .collect();
    assert!(missing.is_empty(), "not defined in docs/metrics.md: {missing:?}");
    let unknown: Vec<&&str> = defined
        .iter()
        .filter(|name| Counter::from_name(name).is_none())
        .collect();
    assert!(unknown.is_empty(), "unknown counters in docs/metrics.md: {unknown:?}");
}
