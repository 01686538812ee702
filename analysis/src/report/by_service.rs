//! CPU, memory and size on disk of each service, for workloads of several.

use std::collections::BTreeSet;

use protocol::Name;
use protocol::size::{Size, totals};

use super::analysis::CellResult;
use super::format::number;
use super::load::{RunData, Trial};
use super::metric::MIB;
use super::table::Table;
use crate::stats::describe;
use crate::stats::usage::ServiceUse;

/// The tables of the cells of one workload under one load; none where it has one service only.
pub(super) fn tables(data: &RunData, cells: &[&CellResult]) -> Vec<Table> {
    let names = services(data, cells);
    if names.len() < 2 {
        return Vec::new();
    }
    let mut tables = vec![usage(data, cells, &names)];
    tables.extend(sizes(data, cells, &names));
    tables
}

/// Every service of the cells, in the order they were started.
fn services(data: &RunData, cells: &[&CellResult]) -> Vec<Name> {
    let mut seen = BTreeSet::new();
    let trials = cells.iter().flat_map(|cell| data.of(&cell.cell));
    let named = trials.flat_map(|trial| {
        let ready = trial.record.ready.iter().flat_map(|ready| &ready.startup);
        ready.map(|startup| startup.service.clone())
    });
    named.filter(|name| seen.insert(name.clone())).collect()
}

/// Whether a service ran beside the platform in these trials.
fn is_beside(trials: &[&Trial], service: &Name) -> bool {
    trials.iter().any(|trial| trial.record.beside.contains(service))
}

fn usage(data: &RunData, cells: &[&CellResult], names: &[Name]) -> Table {
    let mut head = vec!["service".to_owned()];
    for cell in cells {
        let platform = &cell.cell.platform;
        head.push(format!("{platform}: CPU, % of a core"));
        head.push(format!("{platform}: RAM (RSS), MiB"));
    }
    let row = |name: &Name| {
        let mut row = vec![name.to_string()];
        for cell in cells {
            let trials: Vec<&Trial> = data.of(&cell.cell).collect();
            if row.len() == 1 && is_beside(&trials, name) {
                row[0].push_str(" (beside)");
            }
            row.push(spread(&values(&trials, name, |used| used.cpu_total_percent)));
            row.push(spread(&values(&trials, name, |used| used.rss_mean_bytes / MIB)));
        }
        row
    };
    let mut rows: Vec<Vec<String>> = names.iter().map(row).collect();
    rows.push(sum(data, cells));
    Table {
        title: "By service".to_owned(),
        note: "Mean ± standard deviation over trials, of the measured window. Services beside the platform run as processes of the \
               target host whatever the platform is, and are not in the sums."
            .to_owned(),
        head,
        rows,
    }
}

/// The services on the platform together.
fn sum(data: &RunData, cells: &[&CellResult]) -> Vec<String> {
    let mut row = vec!["on the platform, together".to_owned()];
    for cell in cells {
        let trials: Vec<&Trial> = data.of(&cell.cell).collect();
        let together = |value: fn(&ServiceUse) -> f64| -> Vec<f64> {
            let of = |trial: &&Trial| trial.record.on_platform().map(value).sum();
            trials.iter().map(of).collect()
        };
        row.push(spread(&together(|used| used.cpu_total_percent)));
        row.push(spread(&together(|used| used.rss_mean_bytes / MIB)));
    }
    row
}

/// One value a trial.
fn values(trials: &[&Trial], service: &Name, value: fn(&ServiceUse) -> f64) -> Vec<f64> {
    let of = |trial: &&Trial| {
        let used = trial.record.resources.iter();
        used.clone()
            .find(|used| used.service == *service && used.ticks > 0)
            .map(value)
    };
    trials.iter().filter_map(of).collect()
}

/// Mean and standard deviation, as the thesis writes them.
pub(super) fn spread(values: &[f64]) -> String {
    match (describe::mean(values), describe::standard_deviation(values)) {
        (Some(mean), Some(sd)) => format!("{} ± {}", number(mean), number(sd)),
        (Some(mean), None) => number(mean),
        _ => "–".to_owned(),
    }
}

/// What the services need on the disk of their host; the largest of the trials.
fn sizes(data: &RunData, cells: &[&CellResult], names: &[Name]) -> Option<Table> {
    let head = std::iter::once("service".to_owned())
        .chain(cells.iter().map(|cell| format!("{}, MiB", cell.cell.platform)))
        .collect();
    let row = |name: &Name| {
        let mut row = vec![name.to_string()];
        row.extend(cells.iter().map(|cell| {
            let of = |trial: &Trial| on_disk(trial, |service| service == name);
            mib(data.of(&cell.cell).map(of).max())
        }));
        row
    };
    let mut rows: Vec<Vec<String>> = names.iter().map(row).collect();
    for (title, beside) in [
        ("on the platform, what is shared once", false),
        ("all, what is shared once", true),
    ] {
        let mut row = vec![title.to_owned()];
        row.extend(cells.iter().map(|cell| {
            let of = |trial: &Trial| on_disk(trial, |service| beside || !trial.record.beside.contains(service));
            mib(data.of(&cell.cell).map(of).max())
        }));
        rows.push(row);
    }
    let known = rows.iter().any(|row| row[1..].iter().any(|cell| cell != "–"));
    known.then(|| Table {
        title: "Size on disk".to_owned(),
        note: "Program, image layers, kernel, root file system, and what was written, of each service by itself; and of all that a trial \
               deploys, where what services share counts once."
            .to_owned(),
        head,
        rows,
    })
}

/// Bytes of some services, what they share counted once.
fn on_disk(trial: &Trial, wanted: impl Fn(&Name) -> bool) -> u64 {
    let services = trial.record.summary.iter().flat_map(|summary| &summary.services);
    let wanted = services.filter(|service| wanted(&service.service));
    let sizes: Vec<&Size> = wanted.flat_map(|service| &service.sizes).collect();
    totals(sizes).values().sum()
}

fn mib(bytes: Option<u64>) -> String {
    let bytes = bytes.filter(|&bytes| bytes > 0);
    bytes.map_or_else(|| "–".to_owned(), |bytes| number(bytes as f64 / MIB))
}
