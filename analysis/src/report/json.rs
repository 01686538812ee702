//! `<platform>.json`: mean and SD over trials per load and metric, as in the thesis, with medians, confidence intervals and all values.

use std::collections::BTreeMap;

use protocol::Name;
use serde::{Deserialize, Serialize};

use super::analysis::{Analysis, MetricSummary, summarise};
use super::load::{RunData, Trial};
use super::metric::{MIB, Metric};
use crate::stats::Interval;
use crate::stats::usage::ServiceUsage;
use crate::store::{CellKey, FORMAT, RunId};

/// The results of a platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformResults {
    /// [`FORMAT`].
    pub format: u32,
    /// The experiment.
    pub experiment: Name,
    /// The run.
    pub run: RunId,
    /// The platform.
    pub platform: Name,
    /// One entry per workload and load.
    pub cells: Vec<CellJson>,
}

/// The results of a workload and load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellJson {
    /// The workload.
    pub workload: Name,
    /// The load.
    pub load: Name,
    /// The number of trials that count: the n of every figure.
    pub n: usize,
    /// The trials, `<cell>/<block>-<attempt>`, in the order of all values.
    pub trials: Vec<String>,
    /// Requests of these trials: the number of rows in `<platform>.jtl` for this load.
    pub requests: u64,
    /// Successful requests.
    pub ok: u64,
    /// Figures by metric.
    pub metrics: BTreeMap<String, MetricResult>,
    /// CPU and memory by service.
    pub services: BTreeMap<Name, BTreeMap<String, MetricResult>>,
}

/// A metric over the trials. `None`: undefined for so few or equal values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricResult {
    /// The unit of all figures.
    pub unit: String,
    /// The number of trials with a value.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Sample standard deviation.
    pub sd: Option<f64>,
    /// BCa bootstrap confidence interval of the mean.
    pub mean_ci: Option<Interval>,
    /// Median.
    pub median: Option<f64>,
    /// Order-statistic confidence interval of the median.
    pub median_ci: Option<Interval>,
    /// One value per trial, in the order of the plan.
    pub values: Vec<f64>,
}

impl MetricResult {
    fn of(summary: &MetricSummary) -> Self {
        Self {
            unit: summary.metric.unit().to_owned(),
            n: summary.values.len(),
            mean: summary.mean,
            sd: summary.sd,
            mean_ci: summary.mean_interval,
            median: summary.median,
            median_ci: summary.median_interval,
            values: summary.values.clone(),
        }
    }
}

/// The name of a platform's file; a platform named `manifest` must not overwrite `manifest.json`.
pub(super) fn file_name(platform: &Name, extension: &str) -> String {
    match platform.as_str() {
        "manifest" => format!("platform-manifest.{extension}"),
        name => format!("{name}.{extension}"),
    }
}

/// The results of every platform of the run.
pub(super) fn platforms(data: &RunData, analysis: &Analysis) -> Vec<(Name, PlatformResults)> {
    let experiment = &data.manifest.experiment;
    let one = |name: &Name| PlatformResults {
        format: FORMAT,
        experiment: experiment.name.clone(),
        run: data.manifest.run.clone(),
        platform: name.clone(),
        cells: analysis
            .cells
            .iter()
            .filter(|c| c.cell.platform == *name)
            .map(|c| cell(data, c))
            .collect(),
    };
    experiment
        .platforms
        .iter()
        .map(|p| (p.name.clone(), one(&p.name)))
        .collect()
}

fn cell(data: &RunData, result: &super::analysis::CellResult) -> CellJson {
    let by_key = |m: &MetricSummary| (m.metric.key().into_owned(), MetricResult::of(m));
    CellJson {
        workload: result.cell.workload.clone(),
        load: result.cell.load.clone(),
        n: result.n,
        trials: data.of(&result.cell).map(|t| t.record.key.folder()).collect(),
        requests: result.requests,
        ok: result.ok,
        metrics: result.metrics.iter().map(by_key).collect(),
        services: services(data, &result.cell),
    }
}

/// A metric and its value in the usage of a service.
type Figure = (Metric, fn(&ServiceUsage) -> f64);

/// CPU and memory of each service of a cell.
fn services(data: &RunData, cell: &CellKey) -> BTreeMap<Name, BTreeMap<String, MetricResult>> {
    let trials: Vec<&Trial> = data.of(cell).collect();
    let names = trials
        .iter()
        .flat_map(|t| t.record.resources.iter().map(|u| u.service.clone()));
    let names: std::collections::BTreeSet<Name> = names.collect();
    let figures: [Figure; 5] = [
        (Metric::CpuTotal, |u| u.cpu_total_percent),
        (Metric::CpuUser, |u| u.cpu_user_percent),
        (Metric::CpuSystem, |u| u.cpu_system_percent),
        (Metric::RssMean, |u| u.rss_mean_bytes / MIB),
        (Metric::RssMax, |u| u.rss_max_bytes as f64 / MIB),
    ];
    let of_service = |name: &Name| {
        let used = |t: &&Trial| {
            t.record
                .resources
                .iter()
                .find(|u| u.service == *name && u.ticks > 0)
                .cloned()
        };
        let used: Vec<ServiceUsage> = trials.iter().filter_map(used).collect();
        let one = |(metric, value): &Figure| {
            let values = used.iter().map(value).collect();
            let summary = summarise(metric.clone(), values, data.manifest.experiment.seed);
            (metric.key().into_owned(), MetricResult::of(&summary))
        };
        figures.iter().map(one).collect()
    };
    names.iter().map(|name| (name.clone(), of_service(name))).collect()
}
