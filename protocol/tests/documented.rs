//! Every counter is defined in `docs/metrics.md`, with its source.

use std::collections::BTreeSet;

use protocol::sample::Counter;

#[test]
fn every_counter_has_a_row_with_its_source() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let begin = text
        .find("Every counter, its file")
        .expect("the tables of counters begin so");
    let end = text[begin..].find("Sampling tiers:").expect("and end so") + begin;
    let rows = text[begin..end].lines().filter(|line| line.starts_with("| `"));
    // The first cell names counters, the others say where they come from.
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
    let strange: Vec<&&str> = defined.iter().filter(|name| Counter::of_name(name).is_none()).collect();
    assert!(strange.is_empty(), "no counter is called so: {strange:?}");
}
