//! The reported metrics: one value per trial.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::Name;
use protocol::load::{Better, FigureSpec, LoadKind, RunsLoad};

use super::load::Trial;
use crate::stats::usage::ServiceUsage;
use crate::store::TrialRecord;
use loader::StreamStats;

/// A metric of a trial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Successful replies per second of the window.
    Throughput,
    /// Mean response time.
    ResponseMean,
    /// Median response time.
    ResponseP50,
    /// 90th percentile of the response time.
    ResponseP90,
    /// 99th percentile of the response time.
    ResponseP99,
    /// Maximum response time.
    ResponseMax,
    /// Share of failed requests.
    Failed,
    /// CPU usage of all services on the platform.
    CpuTotal,
    /// User part of the CPU usage.
    CpuUser,
    /// System part of the CPU usage.
    CpuSystem,
    /// Resident memory of all services on the platform, mean over the window.
    RssMean,
    /// The sum of the maximum resident memory of each service.
    RssMax,
    /// Start-up time of the slowest service: from the driver's call to the first correct reply.
    StartUp,
    /// Packets: time from the first packet to the last reply, as defined by Czipri.
    TotalTime,
    /// Share of packets without a reply before the timeout.
    Lost,
    /// Share of packets whose reply arrived after that to a later packet.
    Reordered,
    /// Packets per second at the fastest loss-free pace.
    LossFree,
    /// A figure in the output of a load program.
    Reported(Arc<Reported>),
}

/// A figure in the output of a load program, as the experiment declares it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reported {
    name: Name,
    program: String,
    unit: String,
    better: Better,
    is_compared: bool,
}

impl Reported {
    fn of(program: &str, figure: &FigureSpec) -> Self {
        Self {
            name: figure.name.clone(),
            program: program.to_owned(),
            unit: figure.unit.clone(),
            better: figure.better,
            is_compared: figure.compare,
        }
    }
}

impl Metric {
    /// Every metric, in the order of display.
    pub const ALL: [Self; 17] = [
        Self::Throughput,
        Self::ResponseMean,
        Self::ResponseP50,
        Self::ResponseP90,
        Self::ResponseP99,
        Self::ResponseMax,
        Self::Failed,
        Self::CpuTotal,
        Self::CpuUser,
        Self::CpuSystem,
        Self::RssMean,
        Self::RssMax,
        Self::StartUp,
        Self::TotalTime,
        Self::Lost,
        Self::Reordered,
        Self::LossFree,
    ];

    /// The metrics in tables.
    pub const SHOWN: [Self; 13] = [
        Self::Throughput,
        Self::ResponseP50,
        Self::ResponseP90,
        Self::ResponseP99,
        Self::ResponseMax,
        Self::Failed,
        Self::CpuTotal,
        Self::RssMean,
        Self::StartUp,
        Self::TotalTime,
        Self::Lost,
        Self::Reordered,
        Self::LossFree,
    ];

    /// The metrics compared with the baseline, besides those that a load program reports; lower is better in all of them. Few, since every test
    /// costs power.
    pub const COMPARED: [Self; 6] = [
        Self::ResponseP50,
        Self::ResponseP99,
        Self::CpuTotal,
        Self::RssMean,
        Self::StartUp,
        Self::TotalTime,
    ];

    /// The figures that a load's program reports.
    pub fn reported(load: &LoadKind) -> Vec<Self> {
        let metric = |program: &str, figure: &FigureSpec| Self::Reported(Arc::new(Reported::of(program, figure)));
        match load {
            LoadKind::Command(load) => load.figures.iter().map(|figure| metric(load.title(), figure)).collect(),
            LoadKind::Runs(_) => {
                let figures = RunsLoad::figures();
                figures.iter().map(|figure| metric(RunsLoad::PROGRAM, figure)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether platforms are compared in it.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        match self {
            Self::Reported(figure) => figure.is_compared,
            own => Self::COMPARED.contains(own),
        }
    }

    /// Which values are better.
    #[must_use]
    pub fn better(&self) -> Better {
        match self {
            Self::Throughput | Self::LossFree => Better::Higher,
            Self::Reported(figure) => figure.better,
            _ => Better::Lower,
        }
    }

    /// The key in JSON.
    #[must_use]
    pub fn key(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Reported(figure) => return Cow::Owned(format!("reported.{}", figure.name)),
            Self::Throughput => "throughput",
            Self::ResponseMean => "response_mean",
            Self::ResponseP50 => "response_p50",
            Self::ResponseP90 => "response_p90",
            Self::ResponseP99 => "response_p99",
            Self::ResponseMax => "response_max",
            Self::Failed => "failed",
            Self::CpuTotal => "cpu",
            Self::CpuUser => "cpu_user",
            Self::CpuSystem => "cpu_system",
            Self::RssMean => "rss_mean",
            Self::RssMax => "rss_max",
            Self::StartUp => "startup",
            Self::TotalTime => "total_time",
            Self::Lost => "packets_lost",
            Self::Reordered => "packets_reordered",
            Self::LossFree => "loss_free_rate",
        })
    }

    /// The name in tables.
    #[must_use]
    pub fn title(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Reported(figure) => return Cow::Owned(format!("{} ({})", figure.name, figure.program)),
            Self::Throughput => "Throughput",
            Self::ResponseMean => "Response time, mean",
            Self::ResponseP50 => "Response time, median",
            Self::ResponseP90 => "Response time, p90",
            Self::ResponseP99 => "Response time, p99",
            Self::ResponseMax => "Response time, max",
            Self::Failed => "Failed requests",
            Self::CpuTotal => "CPU",
            Self::CpuUser => "CPU, user",
            Self::CpuSystem => "CPU, system",
            Self::RssMean => "RAM (RSS), mean",
            Self::RssMax => "RAM (RSS), max",
            Self::StartUp => "Start-up",
            Self::TotalTime => "Total time, first packet to last reply",
            Self::Lost => "Packets lost",
            Self::Reordered => "Packets reordered",
            Self::LossFree => "Highest loss-free rate",
        })
    }

    /// The unit.
    #[must_use]
    pub fn unit(&self) -> &str {
        match self {
            Self::Reported(figure) => &figure.unit,
            Self::Throughput => "req/s",
            Self::Failed | Self::Lost | Self::Reordered => "%",
            Self::LossFree => "packets/s",
            Self::CpuTotal | Self::CpuUser | Self::CpuSystem => "% of a core",
            Self::RssMean | Self::RssMax => "MiB",
            _ => "ms",
        }
    }

    /// The value for a trial; `None` if the trial does not have it.
    pub(super) fn value(&self, trial: &Trial) -> Option<f64> {
        let record = &trial.record;
        let response = record.latency.as_ref().map(|l| &l.response).filter(|r| r.count > 0);
        let ms = |ns: f64| ns / 1e6;
        let used = |f: fn(&ServiceUsage) -> f64| sum(record, f);
        match self {
            Self::Reported(figure) => record.external.as_ref()?.figure(&figure.name),
            // The window of a program that does not report requests is longer than the time in which it sent some.
            Self::Throughput if matches!(record.load.kind, LoadKind::Command(_)) && !reports_requests(record) => None,
            Self::Throughput => {
                let window_ns = record
                    .window
                    .map(|w| w.end_ns.saturating_sub(w.start_ns))
                    .filter(|&w| w > 0)?;
                Some(record.requests.ok as f64 / (window_ns as f64 / 1e9))
            }
            Self::ResponseMean => response.map(|r| ms(r.mean_ns)),
            Self::ResponseP50 => response.map(|r| ms(r.p50_ns as f64)),
            Self::ResponseP90 => known(response.map(|r| r.p90_ns)).map(ms),
            Self::ResponseP99 => known(response.map(|r| r.p99_ns)).map(ms),
            Self::ResponseMax => response.map(|r| ms(r.max_ns as f64)),
            Self::Failed => (record.requests.total > 0).then(|| record.requests.failed_share() * 100.0),
            Self::CpuTotal => used(|u| u.cpu_total_percent),
            Self::CpuUser => used(|u| u.cpu_user_percent),
            Self::CpuSystem => used(|u| u.cpu_system_percent),
            Self::RssMean => used(|u| u.rss_mean_bytes / MIB),
            Self::RssMax => used(|u| u.rss_max_bytes as f64 / MIB),
            Self::TotalTime => record.udp.as_ref().map(|udp| ms(udp.stream.total_ns as f64)),
            Self::Lost => share(record, |stream| stream.lost),
            Self::Reordered => share(record, |stream| stream.reordered),
            Self::LossFree => {
                let pace_ns = record.udp.as_ref()?.search.as_ref()?.pace_ns?;
                Some(1e9 / pace_ns as f64)
            }
            Self::StartUp => {
                let on_platform = record.ready.as_ref()?.startup.iter();
                let on_platform = on_platform.filter(|s| !record.auxiliary.contains(&s.service));
                Some(ms(on_platform.map(|s| s.first_reply_ns).max()? as f64))
            }
        }
    }
}

/// Whether every request is known.
fn reports_requests(record: &TrialRecord) -> bool {
    record.external.as_ref().is_none_or(|external| external.requests)
}

/// A percentile, unless the external program does not report it, which is stored as 0.
fn known(ns: Option<u64>) -> Option<f64> {
    ns.filter(|&ns| ns > 0).map(|ns| ns as f64)
}

/// A packet count as a share of the packets sent, percent.
fn share(record: &TrialRecord, count: fn(&StreamStats) -> u64) -> Option<f64> {
    let stream = &record.udp.as_ref()?.stream;
    (stream.sent > 0).then(|| count(stream) as f64 * 100.0 / stream.sent as f64)
}

/// Bytes in a MiB.
pub(super) const MIB: f64 = 1_048_576.0;

/// The sum over the services on the platform; `None` unless all of them were sampled in the window.
fn sum(record: &TrialRecord, value: fn(&ServiceUsage) -> f64) -> Option<f64> {
    let sampled = record.on_platform().count() > 0 && record.on_platform().all(|s| s.ticks > 0);
    sampled.then(|| record.on_platform().map(value).sum())
}
