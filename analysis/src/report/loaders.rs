//! The loaders of a run, a line each: what they fired, and whether one of them was the bottleneck.

use std::collections::BTreeMap;

use protocol::Name;

use super::format::{count, number};
use super::load::RunData;
use super::table::Table;
use crate::store::LoaderRecord;

/// The table; `None`: the controller fired the loads itself.
pub(super) fn table(data: &RunData) -> Option<Table> {
    let mut all: BTreeMap<&Name, Vec<&LoaderRecord>> = BTreeMap::new();
    for loader in data.trials.iter().flat_map(|trial| &trial.record.loaders) {
        all.entry(&loader.host).or_default().push(loader);
    }
    if all.is_empty() {
        return None;
    }
    let head = [
        "loader",
        "trials",
        "requests",
        "failed",
        "p99 lag, ms",
        "CPU of the busiest thread, %",
        "waiting for a CPU, %",
        "start off by, ms",
    ];
    Some(Table {
        title: "Loaders".to_owned(),
        note: "Each load was split over these machines, which began together. Lag, CPU and waiting are those of each loader's worst trial. \
               The start is known to half a round trip to the loader; the last column has the estimate and that together, at their worst."
            .to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: all.iter().map(|(name, trials)| row(name, trials)).collect(),
    })
}

fn row(name: &Name, trials: &[&LoaderRecord]) -> Vec<String> {
    let sum = |of: fn(&LoaderRecord) -> u64| trials.iter().map(|one| of(one)).sum();
    let worst = |of: fn(&LoaderRecord) -> f64| trials.iter().map(|one| of(one)).fold(0.0, f64::max);
    vec![
        name.to_string(),
        count(trials.len() as u64),
        count(sum(|one| one.requests.total)),
        count(sum(|one| one.requests.failures())),
        number(worst(|one| one.lag.p99_ns as f64 / 1e6)),
        number(worst(|one| one.generator.busiest_share * 100.0)),
        number(worst(|one| one.generator.run_queue_share * 100.0)),
        number(worst(|one| one.furthest_ns() as f64 / 1e6)),
    ]
}
