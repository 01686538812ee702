//! The figures of a run without its report: for comparing it with another.

use std::path::Path;

use super::analysis;
use super::error::ReportError;
use super::load;
use super::metric::Metric;
use crate::stats::Interval;
use crate::store::{CellKey, Manifest, RunFolder};

/// The figures of a run.
#[derive(Clone, Debug)]
pub struct RunFigures {
    /// What was ordered, where, with which programs.
    pub manifest: Manifest,
    /// Every compared metric of every cell.
    pub figures: Vec<Figure>,
    /// What is altered, missing or contradictory in the raw data.
    pub problems: Vec<String>,
}

/// A metric of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The cell.
    pub cell: CellKey,
    /// The metric.
    pub metric: Metric,
    /// One value a trial.
    pub values: Vec<f64>,
    /// Their median.
    pub median: Option<f64>,
    /// Its order-statistic interval.
    pub interval: Option<Interval>,
}

/// Reads the figures of a run off its raw data; writes nothing.
///
/// # Errors
/// [`ReportError`]: it is no run, or cannot be read.
pub fn figures(run: &Path) -> Result<RunFigures, ReportError> {
    let data = load::load(&RunFolder::at(run))?;
    let analysis = analysis::analyse(&data);
    let figures = analysis.cells.iter().flat_map(|cell| {
        let compared = cell.metrics.iter().filter(|m| Metric::COMPARED.contains(&m.metric));
        compared.map(|summary| Figure {
            cell: cell.cell.clone(),
            metric: summary.metric,
            values: summary.values.clone(),
            median: summary.median,
            interval: summary.median_interval,
        })
    });
    Ok(RunFigures {
        figures: figures.collect(),
        manifest: data.manifest,
        problems: data.problems,
    })
}
