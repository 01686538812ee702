//! Response times of each kind of request, where a load has several; and what the services really did.

use std::collections::BTreeSet;

use super::analysis::CellResult;
use super::by_service::spread;
use super::format::count;
use super::load::{RunData, Trial};
use super::table::Table;
use crate::store::LabelRecord;

/// The tables of the cells of one workload under one load.
pub(super) fn tables(data: &RunData, cells: &[&CellResult]) -> Vec<Table> {
    [labels(data, cells), grouped(data, cells), truth(data, cells)]
        .into_iter()
        .flatten()
        .collect()
}

fn labels(data: &RunData, cells: &[&CellResult]) -> Option<Table> {
    let mut seen = BTreeSet::new();
    let trials = cells.iter().flat_map(|cell| data.of(&cell.cell));
    let names = trials.flat_map(|trial| trial.record.labels.iter().map(|label| label.name.clone()));
    let names: Vec<String> = names.filter(|name| seen.insert(name.clone())).collect();
    let row = |name: &String, cell: &CellResult| {
        let trials: Vec<&Trial> = data.of(&cell.cell).collect();
        let of: Vec<&LabelRecord> = trials
            .iter()
            .flat_map(|trial| trial.record.labels.iter().find(|label| label.name == *name))
            .collect();
        let ms =
            |value: fn(&LabelRecord) -> f64| spread(&of.iter().map(|label| value(label) / 1e6).collect::<Vec<_>>());
        vec![
            format!("{name}, {}", cell.cell.platform),
            count(of.iter().map(|label| label.total).sum()),
            count(of.iter().map(|label| label.failed).sum()),
            ms(|label| label.response.mean_ns),
            ms(|label| label.response.p50_ns as f64),
            ms(|label| label.response.p99_ns as f64),
            ms(|label| label.response.max_ns as f64),
        ]
    };
    let row = &row;
    let rows: Vec<_> = names
        .iter()
        .flat_map(|name| cells.iter().map(move |cell| row(name, cell)))
        .collect();
    let words = [
        "request",
        "requests",
        "failed",
        "mean, ms",
        "median, ms",
        "p99, ms",
        "max, ms",
    ];
    (!rows.is_empty()).then(|| Table {
        title: "By request".to_owned(),
        note: "Response times: mean ± standard deviation over trials of each trial's own figure.".to_owned(),
        head: words.map(str::to_owned).to_vec(),
        rows,
    })
}

/// How many replies took how long, where a load has several requests: the groups of the thesis' figure 26, and finer ones below.
fn grouped(data: &RunData, cells: &[&CellResult]) -> Option<Table> {
    const BOUNDS_MS: [u64; 5] = [10, 50, 100, 500, 1500];
    let has_labels = |cell: &&&CellResult| data.of(&cell.cell).any(|trial| !trial.record.labels.is_empty());
    let row = |cell: &&CellResult| {
        let mut row = vec![cell.cell.platform.to_string()];
        let mut below = 0;
        for bound in BOUNDS_MS {
            let upto = cell.response.count_between(0, bound * 1_000_000);
            row.push(count(upto - below));
            below = upto;
        }
        row.extend([count(cell.response.len() - below), count(cell.requests - cell.ok)]);
        row
    };
    let rows: Vec<_> = cells.iter().filter(has_labels).map(row).collect();
    let words = [
        "replies of all trials",
        "up to 10 ms",
        "to 50 ms",
        "to 100 ms",
        "to 500 ms",
        "to 1500 ms",
        "longer",
        "failed",
    ];
    (!rows.is_empty()).then(|| Table {
        title: "Response times in groups".to_owned(),
        note: String::new(),
        head: words.map(str::to_owned).to_vec(),
        rows,
    })
}

/// What was read back after the load, over all trials that count.
fn truth(data: &RunData, cells: &[&CellResult]) -> Option<Table> {
    let mut rows = Vec::new();
    for cell in cells {
        let trials: Vec<&Trial> = data.of(&cell.cell).collect();
        let checks = trials.iter().filter_map(|trial| trial.record.truth.as_ref());
        let all: Vec<_> = checks.flat_map(|truth| &truth.checks).collect();
        let mut seen = BTreeSet::new();
        for what in all.iter().map(|check| &check.what).filter(|what| seen.insert(*what)) {
            let same: Vec<_> = all.iter().filter(|check| check.what == *what).collect();
            let slowest = same.iter().filter_map(|check| check.slowest_ns).max();
            rows.push(vec![
                format!("{what}, {}", cell.cell.platform),
                count(same.iter().map(|check| check.checked).sum()),
                count(same.iter().map(|check| check.wrong).sum()),
                slowest.map_or_else(|| "–".to_owned(), |ns| format!("{:.2} s", ns as f64 / 1e9)),
            ]);
        }
    }
    (!rows.is_empty()).then(|| Table {
        title: "What the services really did".to_owned(),
        note: "Read back from the services after the load and compared with what they had accepted, over all trials that count.".to_owned(),
        head: ["what has to be so", "cases", "not so", "slowest"].map(str::to_owned).to_vec(),
        rows,
    })
}
