//! Tables of response times per request label and of the readback.

use std::collections::BTreeSet;

use super::analysis::CellResult;
use super::format::Table;
use super::format::count;
use super::load::{RunData, Trial};
use super::services::spread;
use crate::store::LabelRecord;

/// The tables of the cells of one workload and load.
pub(super) fn tables(data: &RunData, cells: &[&CellResult]) -> Vec<Table> {
    [labels(data, cells), grouped(data, cells), readback(data, cells)]
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
    let head = [
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
        note: "Response times: mean ± SD over trials of each trial's figure.".to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows,
    })
}

/// The number of replies per range of response times: those of figure 26 of the thesis, and finer ones.
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
    let head = [
        "all trials",
        "≤ 10 ms",
        "10–50 ms",
        "50–100 ms",
        "100–500 ms",
        "500–1500 ms",
        "> 1500 ms",
        "failed",
    ];
    (!rows.is_empty()).then(|| Table {
        title: "Response time distribution".to_owned(),
        note: String::new(),
        head: head.map(str::to_owned).to_vec(),
        rows,
    })
}

/// The readback, over all trials that count.
fn readback(data: &RunData, cells: &[&CellResult]) -> Option<Table> {
    let mut rows = Vec::new();
    for cell in cells {
        let trials: Vec<&Trial> = data.of(&cell.cell).collect();
        let checks = trials.iter().filter_map(|trial| trial.record.readback.as_ref());
        let all: Vec<_> = checks.flat_map(|readback| &readback.checks).collect();
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
        title: "Readback".to_owned(),
        note:
            "What the services did, read back after the load and compared with what they had accepted, over all trials."
                .to_owned(),
        head: ["requirement", "cases", "violations", "slowest"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    })
}
