//! The plots of a report, one set per workload and load.

use hdrhistogram::Histogram;
use protocol::Name;

use super::analysis::{Analysis, MetricSummary};
use super::format;
use super::load::{RunData, Trial};
use super::metric::{MIB, Metric};
use super::svg::{Axis, Chart, PALETTE};
use crate::stats::usage::{self, Point};
use crate::store::CellKey;

/// A plot and its place in the report.
#[derive(Debug)]
pub(super) struct Plot {
    /// The file name, without extension.
    pub name: String,
    /// The workload.
    pub workload: Name,
    /// The load.
    pub load: Name,
    /// The caption.
    pub caption: String,
    /// The drawing.
    chart: Chart,
}

impl Plot {
    /// For embedding in the report, which defines the colours.
    pub fn inline(&self) -> String {
        self.chart.render("")
    }

    /// For a separate file.
    pub fn standalone(&self) -> String {
        let style = format!("<style>{PALETTE}svg{{background:var(--paper)}}</style>");
        self.chart.render(&style)
    }
}

const TRIALS: &str = "Median response time of every trial, in trial order from left to right. Line: median over trials; band: its \
                      95 % confidence interval (from six trials).";
const STARTUP: &str = "Time from the driver's call to the first correct reply, of every trial.";

/// The subject of a set of plots.
struct Group<'a> {
    data: &'a RunData,
    analysis: &'a Analysis,
    workload: &'a Name,
    load: &'a Name,
}

/// Draws every plot that has data.
pub(super) fn draw(data: &RunData, analysis: &Analysis) -> Vec<Plot> {
    let experiment = &data.manifest.experiment;
    let groups = experiment
        .workloads
        .iter()
        .flat_map(|w| experiment.loads.iter().map(move |l| (&w.name, &l.name)));
    groups
        .flat_map(|(workload, load)| {
            let group = Group {
                data,
                analysis,
                workload,
                load,
            };
            [
                group.latency(),
                group.profile(),
                group.trials("trials", &Metric::ResponseP50, TRIALS),
                group.over_run(),
                group.trials("startup", &Metric::StartUp, STARTUP),
                group.cpu(),
                group.ram(),
            ]
        })
        .flatten()
        .collect()
}

impl Group<'_> {
    fn platforms(&self) -> impl Iterator<Item = (usize, CellKey)> + '_ {
        self.data
            .manifest
            .experiment
            .platforms
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let (workload, load) = (self.workload.clone(), self.load.clone());
                let platform = p.name.clone();
                (
                    i,
                    CellKey {
                        platform,
                        workload,
                        load,
                    },
                )
            })
    }

    fn plot(&self, kind: &str, caption: &str, mut chart: Chart) -> Plot {
        for (i, cell) in self.platforms() {
            chart.name(i, cell.platform.as_str());
        }
        Plot {
            name: format!("{}.{}.{kind}", self.workload, self.load),
            workload: self.workload.clone(),
            load: self.load.clone(),
            caption: caption.to_owned(),
            chart,
        }
    }

    /// Response time by percentile, on an axis that stretches the tail.
    fn latency(&self) -> Option<Plot> {
        let curves: Vec<_> = self
            .platforms()
            .filter_map(|(i, cell)| Some((i, percentiles(&self.analysis.cell(&cell)?.response)?)))
            .collect();
        let highest = curves
            .iter()
            .flat_map(|(_, c)| c.iter().map(|p| p.1))
            .reduce(f64::max)?;
        let nines = curves
            .iter()
            .flat_map(|(_, c)| c.iter().map(|p| p.0))
            .reduce(f64::max)?;
        let mut chart = Chart::new(
            "Response time by percentile",
            nines_axis(nines),
            Axis::from_zero("Response time, ms", highest),
        );
        for (i, curve) in &curves {
            chart.line(*i, curve, false);
        }
        let caption = "Response time by percentile, from the histograms of all valid trials. Each additional 9 leaves one tenth of the \
                       requests.";
        Some(self.plot("latency", caption, chart))
    }

    /// Response time over the window, for loads with several kinds of request.
    fn profile(&self) -> Option<Plot> {
        let several = |cell: &CellKey| self.data.of(cell).any(|trial| !trial.record.labels.is_empty());
        let curves: Vec<_> = self
            .platforms()
            .filter(|(_, cell)| several(cell))
            .filter_map(|(i, cell)| Some((i, self.data.profiles.get(&cell)?.means())))
            .collect();
        let highest = curves
            .iter()
            .flat_map(|(_, c)| c.iter().map(|p| p.1))
            .reduce(f64::max)?;
        let x = Axis::exactly("Measurement window, %", 0.0, 100.0);
        let mut chart = Chart::new(
            "Response time over the measurement window",
            x,
            Axis::from_zero("Mean response time, ms", highest),
        );
        for (i, curve) in &curves {
            chart.line(*i, curve, false);
        }
        let caption = "Mean response time of each hundredth of the window, over all trials. Users who send a list in order are at about \
                       the same position in it, so a change of the requested resource shows as a step.";
        Some(self.plot("course", caption, chart))
    }

    /// A metric of every trial, by platform.
    fn trials(&self, kind: &str, metric: &Metric, caption: &str) -> Option<Plot> {
        let cells: Vec<_> = self
            .platforms()
            .filter_map(|(i, c)| Some((i, self.analysis.cell(&c)?)))
            .collect();
        let summaries: Vec<_> = cells
            .iter()
            .filter_map(|(i, c)| Some((*i, c.metric(metric)?)))
            .collect();
        let highest = summaries
            .iter()
            .flat_map(|(_, s)| s.values.iter().copied())
            .reduce(f64::max)?;
        let names: Vec<_> = self
            .platforms()
            .map(|(i, c)| (i as f64 + 0.5, c.platform.to_string()))
            .collect();
        let x = Axis {
            label: "Platform".to_owned(),
            from: 0.0,
            to: names.len() as f64,
            ticks: names,
        };
        let label = format!("{}, {}", metric.title(), metric.unit());
        let mut chart = Chart::new(format!("{label}, of every trial"), x, Axis::from_zero(label, highest));
        for (i, summary) in &summaries {
            dots(&mut chart, *i, summary);
        }
        Some(self.plot(kind, caption, chart))
    }

    /// Median response time over the run: drift.
    fn over_run(&self) -> Option<Plot> {
        let of = |cell: &CellKey| -> Vec<(f64, f64)> {
            let point = |t: &Trial| Some((f64::from(t.record.index) + 1.0, Metric::ResponseP50.value(t)?));
            self.data.of(cell).filter_map(point).collect()
        };
        let series: Vec<_> = self.platforms().map(|(i, cell)| (i, of(&cell))).collect();
        let highest = series
            .iter()
            .flat_map(|(_, s)| s.iter().map(|p| p.1))
            .reduce(f64::max)?;
        let last = self.data.manifest.plan.len() as f64;
        let x = Axis::exactly("Trial, in run order", 0.0, last + 1.0);
        let mut chart = Chart::new(
            "Drift over the run",
            x,
            Axis::from_zero("Median response time, ms", highest),
        );
        for (i, points) in &series {
            chart.line(*i, points, true);
            for (x, y) in points {
                chart.point(*i, *x, *y, &format!("trial {x}: {} ms", format::number(*y)));
            }
        }
        let caption = "Median response time of every trial over the run. A trend or step shared by all platforms is caused by the host.";
        Some(self.plot("drift", caption, chart))
    }

    fn cpu(&self) -> Option<Plot> {
        let caption = "CPU usage of all services between samples, one line per trial. Shaded: the measurement window.";
        self.over_time("cpu", "CPU, % of one core", caption, |p| p.cpu_percent)
    }

    fn ram(&self) -> Option<Plot> {
        let caption = "Resident memory (RSS) of all services, one line per trial. Shaded: the measurement window.";
        self.over_time("ram", "RAM (RSS), MiB", caption, |p| p.rss_bytes as f64 / MIB)
    }

    /// A time series per trial, in seconds from the beginning of the window.
    fn over_time(&self, kind: &str, label: &str, caption: &str, value: fn(&Point) -> f64) -> Option<Plot> {
        let mut curves = Vec::new();
        let mut length: f64 = 0.0;
        for (i, cell) in self.platforms() {
            for trial in self.data.of(&cell) {
                let Some(window) = trial.record.window else { continue };
                let start = window.runner_start_ns as f64 / 1e9;
                length = length.max(window.runner_end_ns as f64 / 1e9 - start);
                let sampling = &trial.record.sampling;
                let points = usage::series(&trial.samples, sampling.interval_ms * 1_000_000, sampling.ticks_per_s);
                curves.push((i, points.iter().map(|p| (p.at_s - start, value(p))).collect::<Vec<_>>()));
            }
        }
        let all = || curves.iter().flat_map(|(_, c)| c.iter().copied());
        let highest = all().map(|p| p.1).reduce(f64::max)?;
        let first = all().map(|p| p.0).fold(0.0, f64::min);
        let last = all().map(|p| p.0).fold(length, f64::max);
        let x = Axis::exactly("Seconds since the beginning of the window", first, last);
        let mut chart = Chart::new(format!("{label} over time"), x, Axis::from_zero(label, highest));
        chart.shade(0.0, length);
        for (i, curve) in &curves {
            chart.line(*i, curve, true);
        }
        Some(self.plot(kind, caption, chart))
    }
}

/// One dot per trial in the platform's column, over the median and its interval.
fn dots(chart: &mut Chart, column: usize, summary: &MetricSummary) {
    let center = column as f64 + 0.5;
    if let Some(middle) = summary.median {
        let interval = summary.median_interval.map(|c| (c.low, c.high));
        chart.band(column, (center - 0.22, center + 0.22), middle, interval);
    }
    let n = summary.values.len() as f64;
    for (k, value) in summary.values.iter().enumerate() {
        let across = ((k as f64 + 0.5) / n - 0.5) * 0.34;
        let note = format!("trial {}: {} {}", k + 1, format::number(*value), summary.metric.unit());
        chart.point(column, center + across, *value, &note);
    }
}

/// A percentile curve; x counts the nines: 0 for the minimum, 1 for p90, 2 for p99. `None` for an empty histogram.
fn percentiles(histogram: &Histogram<u64>) -> Option<Vec<(f64, f64)>> {
    if histogram.is_empty() {
        return None;
    }
    let max = (histogram.len() as f64).log10();
    let steps = (0..=200u32).map(|i| f64::from(i) / 200.0 * max);
    let value = |nines: f64| histogram.value_at_quantile(1.0 - 10f64.powf(-nines)) as f64 / 1e6;
    Some(steps.map(|nines| (nines, value(nines))).collect())
}

/// An axis of nines, up to the last whole one.
fn nines_axis(max: f64) -> Axis {
    let known = [
        (0.0, "0"),
        (std::f64::consts::LOG10_2, "50"),
        (1.0, "90"),
        (2.0, "99"),
        (3.0, "99.9"),
        (4.0, "99.99"),
        (5.0, "99.999"),
        (6.0, "99.9999"),
    ];
    let to = max.max(1.0);
    let ticks = known
        .iter()
        .filter(|(at, _)| *at <= to)
        .map(|(at, text)| (*at, format!("{text} %")))
        .collect();
    Axis {
        label: "Percentile of requests".to_owned(),
        from: 0.0,
        to,
        ticks,
    }
}
