//! Tables of CPU, memory and size on disk per service, for workloads with several services.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Name;
use protocol::size::{Part, Size, totals};

use super::analysis::{Analysis, CellResult};
use super::format::{Table, number};
use super::load::{RunData, Trial};
use super::metric::MIB;
use crate::stats::describe;
use crate::stats::usage::ServiceUsage;
use crate::store::CellKey;

/// The tables of the cells of one workload and load; none if it has a single service.
pub(super) fn tables(data: &RunData, cells: &[&CellResult]) -> Vec<Table> {
    let names = services(data, cells);
    if names.len() < 2 {
        return Vec::new();
    }
    let mut tables = vec![usage(data, cells, &names)];
    tables.extend(sizes(data, cells, &names));
    tables
}

/// Every service of the cells, in the order in which they were started.
fn services(data: &RunData, cells: &[&CellResult]) -> Vec<Name> {
    let mut seen = BTreeSet::new();
    let trials = cells.iter().flat_map(|cell| data.of(&cell.cell));
    let named = trials.flat_map(|trial| {
        let ready = trial.record.ready.iter().flat_map(|ready| &ready.startup);
        ready.map(|startup| startup.service.clone())
    });
    named.filter(|name| seen.insert(name.clone())).collect()
}

/// Whether a service is auxiliary in these trials.
fn is_auxiliary(trials: &[&Trial], service: &Name) -> bool {
    trials.iter().any(|trial| trial.record.auxiliary.contains(service))
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
            if row.len() == 1 && is_auxiliary(&trials, name) {
                row[0].push_str(" (auxiliary)");
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
        note: "Mean ± SD over trials, in the measurement window. Auxiliary services are processes of the \
               target host whatever the platform, and are not included in the sums."
            .to_owned(),
        head,
        rows,
    }
}

/// The sum over the services on the platform.
fn sum(data: &RunData, cells: &[&CellResult]) -> Vec<String> {
    let mut row = vec!["sum over the platform's services".to_owned()];
    for cell in cells {
        let trials: Vec<&Trial> = data.of(&cell.cell).collect();
        let together = |value: fn(&ServiceUsage) -> f64| -> Vec<f64> {
            let of = |trial: &&Trial| trial.record.on_platform().map(value).sum();
            trials.iter().map(of).collect()
        };
        row.push(spread(&together(|used| used.cpu_total_percent)));
        row.push(spread(&together(|used| used.rss_mean_bytes / MIB)));
    }
    row
}

/// One value per trial.
fn values(trials: &[&Trial], service: &Name, value: fn(&ServiceUsage) -> f64) -> Vec<f64> {
    let of = |trial: &&Trial| {
        let used = trial.record.resources.iter();
        used.clone()
            .find(|used| used.service == *service && used.ticks > 0)
            .map(value)
    };
    trials.iter().filter_map(of).collect()
}

/// Mean ± SD, as in the thesis' tables.
pub(super) fn spread(values: &[f64]) -> String {
    match (describe::mean(values), describe::standard_deviation(values)) {
        (Some(mean), Some(sd)) => format!("{} ± {}", number(mean), number(sd)),
        (Some(mean), None) => number(mean),
        _ => "–".to_owned(),
    }
}

/// The size of each service on the host's disk; the maximum over trials.
fn sizes(data: &RunData, cells: &[&CellResult], names: &[Name]) -> Option<Table> {
    let head = std::iter::once("service".to_owned())
        .chain(cells.iter().map(|cell| format!("{}, MiB", cell.cell.platform)))
        .collect();
    let row = |name: &Name| {
        let mut row = vec![name.to_string()];
        row.extend(cells.iter().map(|cell| {
            let of = |trial: &Trial| on_disk(trial, |service| service == name);
            maybe_mib(data.of(&cell.cell).map(of).max())
        }));
        row
    };
    let mut rows: Vec<Vec<String>> = names.iter().map(row).collect();
    for (title, with_auxiliary) in [
        ("sum over the platform's services", false),
        ("sum over all services", true),
    ] {
        let mut row = vec![title.to_owned()];
        row.extend(cells.iter().map(|cell| {
            let of = |trial: &Trial| {
                on_disk(trial, |service| {
                    with_auxiliary || !trial.record.auxiliary.contains(service)
                })
            };
            maybe_mib(data.of(&cell.cell).map(of).max())
        }));
        rows.push(row);
    }
    let known = rows.iter().any(|row| row[1..].iter().any(|cell| cell != "–"));
    known.then(|| Table {
        title: "Size on disk".to_owned(),
        note: "Program, image layers, kernel, root file system and written data of each service. In the sums, parts that services share \
               count once."
            .to_owned(),
        head,
        rows,
    })
}

/// Bytes of the selected services; shared parts count once.
fn on_disk(trial: &Trial, wanted: impl Fn(&Name) -> bool) -> u64 {
    let services = trial.record.summary.iter().flat_map(|summary| &summary.services);
    let wanted = services.filter(|service| wanted(&service.service));
    let sizes: Vec<&Size> = wanted.flat_map(|service| &service.sizes).collect();
    totals(sizes).values().sum()
}

fn maybe_mib(bytes: Option<u64>) -> String {
    let bytes = bytes.filter(|&bytes| bytes > 0);
    bytes.map_or_else(|| "–".to_owned(), mib)
}

/// The table; `None` if no size is known.
pub(super) fn size_table(data: &RunData, analysis: &Analysis) -> Option<Table> {
    let mut rows: Vec<(String, BTreeMap<Part, u64>)> = Vec::new();
    let mut seen = BTreeSet::new();
    for cell in &analysis.cells {
        let pair = (&cell.cell.workload, &cell.cell.platform);
        if seen.insert(pair) {
            rows.push((format!("{}, {}", pair.0, pair.1), largest_sizes(data, pair.0, pair.1)));
        }
    }
    let parts: Vec<Part> = Part::ALL
        .into_iter()
        .filter(|part| rows.iter().any(|(_, sizes)| sizes.contains_key(part)))
        .collect();
    let head = ["workload, platform".to_owned()]
        .into_iter()
        .chain(parts.iter().map(|part| format!("{}, MiB", part_title(*part))))
        .chain(["total, MiB".to_owned()]);
    let shown = |(name, sizes): &(String, BTreeMap<Part, u64>)| {
        let one = |part: &Part| sizes.get(part).map_or_else(|| "–".to_owned(), |&bytes| mib(bytes));
        let total = mib(sizes.values().sum());
        let parts = parts.iter().map(one);
        [name.clone()].into_iter().chain(parts).chain([total]).collect()
    };
    (!parts.is_empty()).then(|| Table {
        title: "Size on disk by part".to_owned(),
        note: "Size on the host's disk of all services of a trial on the platform; shared parts count once; maximum over trials. Holes of \
               sparse files are excluded, and so are the container engine, QEMU and its firmware."
            .to_owned(),
        head: head.collect(),
        rows: rows.iter().filter(|(_, sizes)| !sizes.is_empty()).map(shown).collect(),
    })
}

/// Bytes by part of the services on a platform, the maximum over trials.
fn largest_sizes(data: &RunData, workload: &Name, platform: &Name) -> BTreeMap<Part, u64> {
    let mut largest = BTreeMap::new();
    let of_both = |cell: &CellKey| cell.workload == *workload && cell.platform == *platform;
    for trial in data.trials.iter().filter(|trial| of_both(&trial.record.key.trial.cell)) {
        let services = trial.record.summary.iter().flat_map(|summary| &summary.services);
        let own = services.filter(|service| !trial.record.auxiliary.contains(&service.service));
        let sizes: Vec<&Size> = own.flat_map(|service| &service.sizes).collect();
        for (part, bytes) in totals(sizes) {
            let max: &mut u64 = largest.entry(part).or_default();
            *max = bytes.max(*max);
        }
    }
    largest
}

const fn part_title(part: Part) -> &'static str {
    match part {
        Part::Program => "program",
        Part::Layer => "image layers",
        Part::Kernel => "kernel",
        Part::Initrd => "initrd",
        Part::RootFs => "root file system",
        Part::Disk => "disks",
        Part::Written => "written",
    }
}

fn mib(bytes: u64) -> String {
    number(bytes as f64 / MIB)
}
