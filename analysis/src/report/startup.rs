//! A table of the start-up stages, for the whole run: the usual question is how they grow with the number of services.

use super::analysis::Analysis;
use super::format::Table;
use super::format::{interval, number};
use super::load::{RunData, Trial};
use crate::stats::describe;
use crate::store::CellKey;
use protocol::event::StartUp;

/// The stages, with their time since the driver's call, ns.
const STAGES: [(&str, Moment); 3] = [
    ("process exists", |start| Some(start.process_ns)),
    ("first output", |start| start.first_output_ns),
    ("first reply", |start| Some(start.first_reply_ns)),
];

/// When a service reached a stage; `None`: not observed.
type Moment = fn(&StartUp) -> Option<u64>;

/// The table; `None` if no trial became READY.
pub(super) fn table(data: &RunData, analysis: &Analysis) -> Option<Table> {
    let rows: Vec<Vec<String>> = analysis.cells.iter().filter_map(|cell| row(data, &cell.cell)).collect();
    let mut head = vec![
        "workload, load, platform".to_owned(),
        "n".to_owned(),
        "services".to_owned(),
    ];
    head.extend(STAGES.map(|(stage, _)| format!("{stage}, ms")));
    head.push("last first reply, ms".to_owned());
    head.push("image preparation, ms".to_owned());
    (!rows.is_empty()).then(|| Table {
        title: "Start-up stages".to_owned(),
        note: "Time from the driver's call, which starts all services at once, until a service's process exists, until the first byte of its output (for a \
               guest: of its console), and until its first correct reply. Of several services, the median; medians over trials with 95 % \
               confidence intervals. Image preparation comes before the call and is excluded."
            .to_owned(),
        head,
        rows,
    })
}

fn row(data: &RunData, cell: &CellKey) -> Option<Vec<String>> {
    let trials: Vec<&Trial> = data.of(cell).filter(|trial| trial.record.ready.is_some()).collect();
    let services = trials.first()?.record.ready.as_ref()?.startup.len();
    let mut row = vec![
        format!("{}, {}, {}", cell.workload, cell.load, cell.platform),
        trials.len().to_string(),
        services.to_string(),
    ];
    for (_, moment) in STAGES {
        row.push(spread(&trials, |starts| median_service(starts, moment)));
    }
    let last = |starts: &[StartUp]| starts.iter().map(|start| start.first_reply_ns).max().map(ms);
    row.push(spread(&trials, last));
    let prepared = trials
        .iter()
        .filter_map(|trial| Some(ms(trial.record.ready.as_ref()?.prepare_ns)));
    row.push(shown(&prepared.collect::<Vec<_>>()));
    Some(row)
}

/// The median over the services of a trial; `None` if one of them did not reach the stage.
fn median_service(starts: &[StartUp], moment: Moment) -> Option<f64> {
    let reached: Option<Vec<f64>> = starts.iter().map(|start| moment(start).map(ms)).collect();
    describe::median(&reached?)
}

/// The median over trials with its confidence interval; a dash if no trial has the value.
fn spread(trials: &[&Trial], of: impl Fn(&[StartUp]) -> Option<f64>) -> String {
    let ready = trials.iter().filter_map(|trial| trial.record.ready.as_ref());
    let values: Vec<f64> = ready.filter_map(|ready| of(&ready.startup)).collect();
    shown(&values)
}

fn shown(values: &[f64]) -> String {
    let Some(median) = describe::median(values) else {
        return "–".to_owned();
    };
    match interval(describe::median_interval(values)) {
        Some(within) => format!("{} [{within}]", number(median)),
        None => number(median),
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_needs_every_service() {
        let start = |process_ns, first_output_ns| StartUp {
            service: "tcp".parse().unwrap(),
            process_ns,
            first_output_ns,
            first_reply_ns: 9_000_000,
        };
        let starts = [
            start(1_000_000, Some(2)),
            start(5_000_000, None),
            start(3_000_000, Some(4)),
        ];
        assert_eq!(median_service(&starts, STAGES[0].1), Some(3.0));
        assert_eq!(median_service(&starts, STAGES[1].1), None);
        assert_eq!(median_service(&[], STAGES[2].1), None);
    }
}
