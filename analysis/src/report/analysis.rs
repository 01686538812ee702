//! The figures of every cell, the comparisons with the baseline, and drift.

use hdrhistogram::Histogram;

use super::load::{RunData, Trial};
use super::metric::Metric;
use crate::stats::trend::Trend;
use crate::stats::{Interval, bootstrap, describe, holm, median, rank, trend};
use crate::store::CellKey;
use loader::Histograms;

/// Everything that was computed.
#[derive(Debug)]
pub(super) struct Analysis {
    /// One a cell, in the order of tables.
    pub cells: Vec<CellResult>,
    /// Every test against the baseline.
    pub comparisons: Vec<Comparison>,
    /// Drift of the median response time, one a cell with enough trials.
    pub drifts: Vec<Drift>,
}

/// The figures of a cell.
#[derive(Debug)]
pub(super) struct CellResult {
    /// The cell.
    pub cell: CellKey,
    /// How many trials count.
    pub n: usize,
    /// Requests of all of them.
    pub requests: u64,
    /// Good ones of those.
    pub ok: u64,
    /// One a metric, in the order of [`Metric::ALL`].
    pub metrics: Vec<MetricSummary>,
    /// The response times of all trials, added.
    pub response: Histogram<u64>,
}

/// A metric over the trials of a cell.
#[derive(Clone, Debug)]
pub(super) struct MetricSummary {
    /// Which.
    pub metric: Metric,
    /// One value a trial, in the order of the plan.
    pub values: Vec<f64>,
    /// Their mean.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub sd: Option<f64>,
    /// BCa interval of the mean.
    pub mean_interval: Option<Interval>,
    /// Their median.
    pub median: Option<f64>,
    /// Order-statistic interval of the median.
    pub median_interval: Option<Interval>,
}

/// A platform against the baseline.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    /// The cell of the platform.
    pub cell: CellKey,
    /// What is compared.
    pub metric: Metric,
    /// Median over the baseline's median.
    pub ratio: f64,
    /// Bootstrap interval of the ratio.
    pub interval: Option<Interval>,
    /// Mann-Whitney's p-value, corrected by Holm over all tests of the report.
    pub p: f64,
    /// Cliff's delta: positive where the platform's values are higher.
    pub delta: f64,
}

/// Drift of a cell.
#[derive(Clone, Debug)]
pub(super) struct Drift {
    /// The cell.
    pub cell: CellKey,
    /// The trend; its p-value corrected by Holm over all cells.
    pub trend: Trend,
}

impl CellResult {
    /// The summary of a metric.
    pub fn metric(&self, metric: Metric) -> Option<&MetricSummary> {
        self.metrics.iter().find(|m| m.metric == metric)
    }
}

impl Analysis {
    /// The figures of a cell.
    pub fn cell(&self, cell: &CellKey) -> Option<&CellResult> {
        self.cells.iter().find(|c| c.cell == *cell)
    }

    /// The test of a metric of a cell against the baseline.
    pub fn comparison(&self, cell: &CellKey, metric: Metric) -> Option<&Comparison> {
        self.comparisons.iter().find(|c| c.cell == *cell && c.metric == metric)
    }
}

/// Computes everything.
pub(super) fn analyse(data: &RunData) -> Analysis {
    let seed = data.manifest.experiment.seed;
    let cells: Vec<_> = data
        .manifest
        .experiment
        .cells()
        .map(|cell| cell_result(data, cell, seed))
        .collect();
    let comparisons = comparisons(&cells, data, seed);
    let drifts = drifts(&cells);
    Analysis {
        cells,
        comparisons,
        drifts,
    }
}

fn cell_result(data: &RunData, cell: CellKey, seed: u64) -> CellResult {
    let trials: Vec<&Trial> = data.of(&cell).collect();
    let response = data.responses.get(&cell).cloned();
    CellResult {
        n: trials.len(),
        requests: trials.iter().map(|t| t.record.requests.total).sum(),
        ok: trials.iter().map(|t| t.record.requests.ok).sum(),
        metrics: Metric::ALL.map(|m| summary(m, &trials, seed)).into(),
        response: response.unwrap_or_else(|| Histograms::new().response),
        cell,
    }
}

fn summary(metric: Metric, trials: &[&Trial], seed: u64) -> MetricSummary {
    let values = trials.iter().filter_map(|t| metric.value(t)).collect();
    summarise(metric, values, seed)
}

/// The figures of one value a trial.
pub(super) fn summarise(metric: Metric, values: Vec<f64>, seed: u64) -> MetricSummary {
    MetricSummary {
        metric,
        mean: describe::mean(&values),
        sd: describe::standard_deviation(&values),
        mean_interval: bootstrap::mean_interval(&values, seed),
        median: median::median(&values),
        median_interval: median::interval(&values),
        values,
    }
}

fn comparisons(cells: &[CellResult], data: &RunData, seed: u64) -> Vec<Comparison> {
    let baseline = &data.manifest.experiment.baseline;
    let mut found = Vec::new();
    for cell in cells.iter().filter(|c| c.cell.platform != *baseline) {
        let against = CellKey {
            platform: baseline.clone(),
            ..cell.cell.clone()
        };
        if let Some(base) = cells.iter().find(|c| c.cell == against) {
            found.extend(Metric::COMPARED.iter().filter_map(|&m| compare(cell, base, m, seed)));
        }
    }
    let raw: Vec<f64> = found.iter().map(|c| c.p).collect();
    for (comparison, p) in found.iter_mut().zip(holm::correct(&raw)) {
        comparison.p = p;
    }
    found
}

fn compare(cell: &CellResult, base: &CellResult, metric: Metric, seed: u64) -> Option<Comparison> {
    let (mine, theirs) = (cell.metric(metric)?, base.metric(metric)?);
    let ratio = mine.median? / theirs.median?;
    ratio.is_finite().then_some(())?;
    Some(Comparison {
        cell: cell.cell.clone(),
        metric,
        ratio,
        interval: bootstrap::ratio_interval(&mine.values, &theirs.values, seed),
        p: rank::mann_whitney(&mine.values, &theirs.values)?,
        delta: rank::cliffs_delta(&mine.values, &theirs.values)?,
    })
}

fn drifts(cells: &[CellResult]) -> Vec<Drift> {
    let of = |cell: &CellResult| {
        Some(Drift {
            cell: cell.cell.clone(),
            trend: trend::mann_kendall(&cell.metric(Metric::ResponseP50)?.values)?,
        })
    };
    let mut found: Vec<Drift> = cells.iter().filter_map(of).collect();
    let raw: Vec<f64> = found.iter().map(|d| d.trend.p).collect();
    for (drift, p) in found.iter_mut().zip(holm::correct(&raw)) {
        drift.trend.p = p;
    }
    found
}
