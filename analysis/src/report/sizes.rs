//! What a deployment needs on its host's disk, part by part: one table for the whole run, since the platforms are what differs.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Name;
use protocol::size::{Part, Size, totals};

use super::analysis::Analysis;
use super::format::number;
use super::load::RunData;
use super::metric::MIB;
use super::table::Table;

/// The table; `None` where no size is known.
pub(super) fn table(data: &RunData, analysis: &Analysis) -> Option<Table> {
    let mut rows: Vec<(String, BTreeMap<Part, u64>)> = Vec::new();
    let mut seen = BTreeSet::new();
    for cell in &analysis.cells {
        let pair = (&cell.cell.workload, &cell.cell.platform);
        if seen.insert(pair) {
            rows.push((format!("{}, {}", pair.0, pair.1), largest(data, pair.0, pair.1)));
        }
    }
    let parts: Vec<Part> = Part::ALL
        .into_iter()
        .filter(|part| rows.iter().any(|(_, sizes)| sizes.contains_key(part)))
        .collect();
    let head = ["workload, platform".to_owned()]
        .into_iter()
        .chain(parts.iter().map(|part| format!("{}, MiB", title(*part))))
        .chain(["together, MiB".to_owned()]);
    let shown = |(name, sizes): &(String, BTreeMap<Part, u64>)| {
        let one = |part: &Part| sizes.get(part).map_or_else(|| "–".to_owned(), |&bytes| mib(bytes));
        let together = mib(sizes.values().sum());
        let parts = parts.iter().map(one);
        [name.clone()].into_iter().chain(parts).chain([together]).collect()
    };
    (!parts.is_empty()).then(|| Table {
        title: "Size on disk, part by part".to_owned(),
        note: "What all services of a trial on the platform need on their host's disk, what they share counted once; the largest of the trials. Holes of \
               sparse files are not counted. The engine, QEMU and its firmware are not among them."
            .to_owned(),
        head: head.collect(),
        rows: rows.iter().filter(|(_, sizes)| !sizes.is_empty()).map(shown).collect(),
    })
}

/// Bytes of each part of the services on a platform, the most of any trial.
fn largest(data: &RunData, workload: &Name, platform: &Name) -> BTreeMap<Part, u64> {
    let mut largest = BTreeMap::new();
    let of_both = |cell: &crate::store::CellKey| cell.workload == *workload && cell.platform == *platform;
    for trial in data.trials.iter().filter(|trial| of_both(&trial.record.key.trial.cell)) {
        let services = trial.record.summary.iter().flat_map(|summary| &summary.services);
        let own = services.filter(|service| !trial.record.beside.contains(&service.service));
        let sizes: Vec<&Size> = own.flat_map(|service| &service.sizes).collect();
        for (part, bytes) in totals(sizes) {
            let most: &mut u64 = largest.entry(part).or_default();
            *most = bytes.max(*most);
        }
    }
    largest
}

const fn title(part: Part) -> &'static str {
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
