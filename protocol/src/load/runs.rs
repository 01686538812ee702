//! Runs of a task, one after the other.

use serde::{Deserialize, Serialize};

use super::command::{Better, CsvColumn, Extract, FigureSpec, OutputPart, Take};
use super::spec::Timing;
use crate::Name;

/// A task's program is run this often, one run after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunsLoad {
    /// The number of measured runs.
    pub runs: u32,
    /// Runs before these, which are not measured.
    pub warm_up_runs: u32,
    /// Warm-up and duration are zero, since it ends by itself; the time-out is that of a run.
    pub timing: Timing,
    /// The CPUs that the load generator's thread is pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

/// The table of runs, in which the figures are found.
pub const RUNS_FILE: &str = "runs.csv";

/// Columns of [`RUNS_FILE`].
pub const RUN_COLUMNS: [&str; 8] = [
    "run",
    "wall_ms",
    "cpu_ms",
    "user_ms",
    "system_ms",
    "peak_mib",
    "exit_code",
    "output_bytes",
];

impl RunsLoad {
    /// What generates it, for results.
    pub const PROGRAM: &str = "task";

    /// The figures of the runs.
    #[must_use]
    pub fn figures() -> Vec<FigureSpec> {
        let figure = |name: &str, unit: &str, column: &str, take, compare| {
            Some(FigureSpec {
                name: name.parse::<Name>().ok()?,
                unit: unit.to_owned(),
                better: Better::Lower,
                from: OutputPart::File(RUNS_FILE.to_owned()),
                at: Extract::Csv(CsvColumn {
                    column: column.to_owned(),
                    rows: std::collections::BTreeMap::new(),
                    delimiter: ',',
                }),
                take: Some(take),
                given_in: None,
                thousands: None,
                otherwise: None,
                optional: false,
                compare,
                counts: None,
            })
        };
        let all = [
            figure("wall-time", "ms", "wall_ms", Take::Mean, true),
            figure("cpu-time", "ms", "cpu_ms", Take::Mean, true),
            figure("user-time", "ms", "user_ms", Take::Mean, false),
            figure("system-time", "ms", "system_ms", Take::Mean, false),
            figure("peak-memory", "MiB", "peak_mib", Take::Max, true),
        ];
        all.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_in_a_column() {
        let figures = RunsLoad::figures();
        assert_eq!(figures.len(), 5);
        for figure in figures {
            let Extract::Csv(csv) = figure.at else {
                panic!("a column")
            };
            assert!(RUN_COLUMNS.contains(&csv.column.as_str()), "{}", csv.column);
        }
    }
}
