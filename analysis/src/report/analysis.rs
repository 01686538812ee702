//! Statistics of every cell, comparisons with the baseline, and drift.

use std::collections::BTreeMap;
use std::path::Path;

use hdrhistogram::Histogram;
use loader::Histograms;
use protocol::facts::ServiceRecord;

use super::load::{ReportError, RunData, Trial, load};
use super::metric::Metric;
use crate::stats::hypothesis::Trend;
use crate::stats::{Interval, bootstrap, describe, hypothesis};
use crate::store::{CellKey, Manifest, RunFolder};

/// The statistics of a run.
#[derive(Debug)]
pub(super) struct Analysis {
    /// Every cell, in the order of the tables.
    pub cells: Vec<CellResult>,
    /// Every comparison with the baseline.
    pub comparisons: Vec<Comparison>,
    /// Drift of the median response time, for cells with enough trials.
    pub drifts: Vec<Drift>,
}

/// The statistics of a cell.
#[derive(Debug)]
pub(super) struct CellResult {
    /// The cell.
    pub cell: CellKey,
    /// The number of trials.
    pub n: usize,
    /// Requests of all trials.
    pub requests: u64,
    /// Successful requests of all trials.
    pub ok: u64,
    /// Every metric, in the order of [`Metric::ALL`], and those that the load program reports.
    pub metrics: Vec<MetricSummary>,
    /// The response-time histograms of all trials, added.
    pub response: Histogram<u64>,
}

/// A metric over the trials of a cell.
#[derive(Clone, Debug)]
pub(super) struct MetricSummary {
    /// The metric.
    pub metric: Metric,
    /// One value per trial, in the order of the plan.
    pub values: Vec<f64>,
    /// Mean.
    pub mean: Option<f64>,
    /// Standard deviation.
    pub sd: Option<f64>,
    /// BCa confidence interval of the mean.
    pub mean_interval: Option<Interval>,
    /// Median.
    pub median: Option<f64>,
    /// Order-statistic confidence interval of the median.
    pub median_interval: Option<Interval>,
}

/// A comparison of a platform with the baseline.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    /// The platform's cell.
    pub cell: CellKey,
    /// The metric.
    pub metric: Metric,
    /// The platform's median divided by the baseline's.
    pub ratio: f64,
    /// Bootstrap confidence interval of the ratio.
    pub interval: Option<Interval>,
    /// Mann-Whitney p-value, Holm-corrected over all comparisons of the report.
    pub p: f64,
    /// Cliff's delta: positive if the platform's values are higher.
    pub delta: f64,
}

/// The drift of a cell.
#[derive(Clone, Debug)]
pub(super) struct Drift {
    /// The cell.
    pub cell: CellKey,
    /// The trend; its p-value is Holm-corrected over all cells.
    pub trend: Trend,
}

impl CellResult {
    /// The summary of a metric.
    pub fn metric(&self, metric: &Metric) -> Option<&MetricSummary> {
        self.metrics.iter().find(|m| m.metric == *metric)
    }
}

impl Analysis {
    /// The statistics of a cell.
    pub fn cell(&self, cell: &CellKey) -> Option<&CellResult> {
        self.cells.iter().find(|c| c.cell == *cell)
    }

    /// The comparison of a cell with the baseline in a metric.
    pub fn comparison(&self, cell: &CellKey, metric: &Metric) -> Option<&Comparison> {
        self.comparisons.iter().find(|c| c.cell == *cell && c.metric == *metric)
    }
}

/// The metrics that have values in some cell.
pub(super) fn shown_metrics(cells: &[&CellResult]) -> impl Iterator<Item = Metric> {
    let has = |metric: &Metric| {
        cells
            .iter()
            .any(|cell| cell.metric(metric).is_some_and(|m| m.median.is_some()))
    };
    // All cells of a table have the same load.
    let all = cells
        .iter()
        .flat_map(|cell| &cell.metrics)
        .map(|summary| &summary.metric);
    let mut reported: Vec<Metric> = Vec::new();
    for metric in all.filter(|metric| matches!(metric, Metric::Reported(_))) {
        if !reported.contains(metric) {
            reported.push(metric.clone());
        }
    }
    reported.into_iter().chain(Metric::SHOWN).filter(has)
}

/// Computes all statistics.
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
    let loads = &data.manifest.experiment.loads;
    let load = loads.iter().find(|load| load.name == cell.load);
    let reported = load.map(|load| Metric::reported(&load.spec.kind)).unwrap_or_default();
    CellResult {
        n: trials.len(),
        requests: trials.iter().map(|t| t.record.requests.total).sum(),
        ok: trials.iter().map(|t| t.record.requests.ok).sum(),
        metrics: Metric::ALL
            .into_iter()
            .chain(reported)
            .map(|m| summary(m, &trials, seed))
            .collect(),
        response: response.unwrap_or_else(|| Histograms::new().response),
        cell,
    }
}

fn summary(metric: Metric, trials: &[&Trial], seed: u64) -> MetricSummary {
    let values = trials.iter().filter_map(|t| metric.value(t)).collect();
    summarise(metric, values, seed)
}

/// Summarises a metric, given one value per trial.
pub(super) fn summarise(metric: Metric, values: Vec<f64>, seed: u64) -> MetricSummary {
    MetricSummary {
        metric,
        mean: describe::mean(&values),
        sd: describe::standard_deviation(&values),
        mean_interval: bootstrap::mean_interval(&values, seed),
        median: describe::median(&values),
        median_interval: describe::median_interval(&values),
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
            let compared = cell.metrics.iter().map(|m| &m.metric).filter(|m| m.is_compared());
            found.extend(compared.filter_map(|m| compare(cell, base, m, seed)));
        }
    }
    let raw: Vec<f64> = found.iter().map(|c| c.p).collect();
    for (comparison, p) in found.iter_mut().zip(hypothesis::holm(&raw)) {
        comparison.p = p;
    }
    found
}

fn compare(cell: &CellResult, base: &CellResult, metric: &Metric, seed: u64) -> Option<Comparison> {
    let (mine, theirs) = (cell.metric(metric)?, base.metric(metric)?);
    let ratio = mine.median? / theirs.median?;
    ratio.is_finite().then_some(())?;
    Some(Comparison {
        cell: cell.cell.clone(),
        metric: metric.clone(),
        ratio,
        interval: bootstrap::ratio_interval(&mine.values, &theirs.values, seed),
        p: hypothesis::mann_whitney(&mine.values, &theirs.values)?,
        delta: hypothesis::cliffs_delta(&mine.values, &theirs.values)?,
    })
}

fn drifts(cells: &[CellResult]) -> Vec<Drift> {
    let of = |cell: &CellResult| {
        Some(Drift {
            cell: cell.cell.clone(),
            trend: hypothesis::mann_kendall(&cell.metric(&Metric::ResponseP50)?.values)?,
        })
    };
    let mut found: Vec<Drift> = cells.iter().filter_map(of).collect();
    let raw: Vec<f64> = found.iter().map(|d| d.trend.p).collect();
    for (drift, p) in found.iter_mut().zip(hypothesis::holm(&raw)) {
        drift.trend.p = p;
    }
    found
}

/// The statistics of a run.
#[derive(Clone, Debug)]
pub struct RunFigures {
    /// The manifest.
    pub manifest: Manifest,
    /// Every compared metric of every cell.
    pub figures: Vec<Figure>,
    /// What described services were, by `platform.workload.service`: one record, unless it changed between trials.
    pub services: BTreeMap<String, Vec<ServiceRecord>>,
    /// What was altered, missing or inconsistent in the raw data.
    pub problems: Vec<String>,
}

/// A metric of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The cell.
    pub cell: CellKey,
    /// The metric.
    pub metric: Metric,
    /// One value per trial.
    pub values: Vec<f64>,
    /// Median.
    pub median: Option<f64>,
    /// Order-statistic confidence interval of the median.
    pub interval: Option<Interval>,
}

/// Computes the statistics of a run from its raw data; writes nothing.
///
/// # Errors
/// [`ReportError`]: the directory is not a run, or cannot be read.
pub fn figures(run: &Path) -> Result<RunFigures, ReportError> {
    let data = load(&RunFolder::at(run))?;
    let analysis = analyse(&data);
    let figures = analysis.cells.iter().flat_map(|cell| {
        let compared = cell.metrics.iter().filter(|m| m.metric.is_compared());
        compared.map(|summary| Figure {
            cell: cell.cell.clone(),
            metric: summary.metric.clone(),
            values: summary.values.clone(),
            median: summary.median,
            interval: summary.median_interval,
        })
    });
    Ok(RunFigures {
        figures: figures.collect(),
        services: services(&data),
        manifest: data.manifest,
        problems: data.problems,
    })
}

fn services(data: &RunData) -> BTreeMap<String, Vec<ServiceRecord>> {
    let mut services: BTreeMap<String, Vec<ServiceRecord>> = BTreeMap::new();
    for record in data.trials.iter().map(|trial| &trial.record) {
        let cell = &record.key.trial.cell;
        for service in record.ready.iter().flat_map(|ready| &ready.services) {
            let key = format!("{}.{}.{}", cell.platform, cell.workload, service.service);
            let records = services.entry(key).or_default();
            if !records.contains(service) {
                records.push(service.clone());
            }
        }
    }
    services
}
