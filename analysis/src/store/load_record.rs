//! The parts of `trial.json` that describe the load: request counts, load generator, loaders, search, labels.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use loader::external::{External, Figure};
use loader::latency::Distribution;
use loader::{Awake, Counts, Histograms, Knee, Label, Outcome, Ramp, Request, Scheduling, Step, StepVerdict};
use protocol::Name;
use serde::{Deserialize, Serialize};

use crate::text::counted;

/// Request counts. `total` = `ok` + all of `failed`; the warm-up is counted separately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestCounts {
    /// Requests scheduled in the measurement window.
    pub planned: u64,
    /// Requests recorded.
    pub total: u64,
    /// Successful requests.
    pub ok: u64,
    /// Failed requests in the window, by kind.
    pub failed: BTreeMap<String, u64>,
    /// Requests of the warm-up, counted nowhere else.
    pub warm_up: u64,
}

impl RequestCounts {
    /// The counts of a load engine.
    #[must_use]
    pub fn of(window: &Counts, warm_up: &Counts) -> Self {
        Self {
            planned: window.due,
            total: window.succeeded + window.failed(),
            ok: window.succeeded,
            failed: window.errors().map(|(kind, n)| (kind.name().to_owned(), n)).collect(),
            warm_up: warm_up.due,
        }
    }

    /// Counts a request.
    pub fn add(&mut self, record: &Request) {
        if record.warm_up {
            self.warm_up += 1;
            return;
        }
        self.total += 1;
        match record.error {
            None => self.ok += 1,
            Some(kind) => *self.failed.entry(kind.name().to_owned()).or_default() += 1,
        }
    }

    /// Failed requests in the window.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Failed requests as a share of all recorded ones, 0 to 1; 0 if there are none.
    #[must_use]
    pub fn failed_share(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        self.failures() as f64 / self.total as f64
    }
}

/// Resource usage of the load generator over warm-up and window: shows whether a figure is limited by the generator rather than the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorRecord {
    /// Threads that sent requests.
    pub threads: u32,
    /// CPU time as a share of elapsed time, summed over threads; it includes spinning before a scheduled time.
    pub cpu_share: f64,
    /// The part of it spent polling clock and sockets without work.
    #[serde(default)]
    pub spun_share: f64,
    /// CPU time of the busiest thread without that part; 1 is a thread that always had work.
    pub busiest_share: f64,
    /// Share of the time that threads were ready to run and had no CPU.
    pub run_queue_share: f64,
    /// Kept-alive connections that the server closed between two requests.
    pub closed_idle: u64,
    /// Connections that the server left open for half a second after it was asked to close them.
    pub left_open: u64,
    /// How the kernel scheduled the threads; absent if the program does not report it, and in older records.
    #[serde(default)]
    pub scheduling: Option<Scheduling>,
    /// How CPUs were kept awake between requests; absent if they were not to be, and in older records.
    #[serde(default)]
    pub awake: Option<Awake>,
}

impl GeneratorRecord {
    /// The usage of a load engine.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        let usage = &outcome.usage;
        Self {
            threads: u32::try_from(outcome.threads).unwrap_or(u32::MAX),
            cpu_share: usage.cpu_share(),
            spun_share: usage.cpu_share() - usage.work_share(),
            busiest_share: usage.busiest_ppm as f64 / 1e6,
            run_queue_share: usage.run_queue_ns as f64 / usage.wall_ns.max(1) as f64,
            closed_idle: outcome.closed_idle,
            left_open: outcome.left_open,
            scheduling: usage.scheduling,
            awake: usage.awake,
        }
    }
}

/// One loader's part of a load. The attempt's own requests, histograms and generator figures cover all loaders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderRecord {
    /// The loader's name.
    pub host: Name,
    /// Request counts of its part.
    pub requests: RequestCounts,
    /// Response time.
    pub response: Distribution,
    /// Lag.
    pub lag: Distribution,
    /// Resource usage of its threads.
    pub generator: GeneratorRecord,
    /// How long after the agreed instant it began, ns, by the estimate of its clock; negative: before.
    pub skew_ns: i64,
    /// The error of that estimate: half of the shortest round trip, ns.
    pub clock_error_ns: u64,
    /// The number of exchanges behind the estimate.
    pub exchanges: u32,
}

impl LoaderRecord {
    /// The largest possible distance of its start from the agreed instant, ns.
    #[must_use]
    pub const fn max_skew_ns(&self) -> u64 {
        self.skew_ns.unsigned_abs().saturating_add(self.clock_error_ns)
    }
}

/// The result of a search for the highest sustained rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RampRecord {
    /// Every rate that was tried, in order.
    pub steps: Vec<Step>,
    /// The knee; `None`: not even the first rate was sustained.
    pub knee: Option<KneeRecord>,
}

/// The highest sustained rate, with its repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KneeRecord {
    /// The highest sustained rate, requests per second.
    pub rate_per_s: f64,
    /// The lowest rate above it that was not sustained; `None`: the last rate of the search was sustained, so the knee is higher.
    pub above_per_s: Option<f64>,
    /// How often both rates were repeated.
    pub repeats: u32,
    /// In how many repetitions the lower rate was sustained.
    pub held: u32,
    /// In how many the upper rate was not.
    pub failed: u32,
    /// Whether the load generator is the limit: the upper rate failed because of the generator's lag.
    pub of_generator: bool,
}

impl RampRecord {
    /// The record of an engine's result.
    #[must_use]
    pub fn of(ramp: &Ramp) -> Self {
        let above = ramp.knee.and_then(|knee| knee.high);
        let own = |step: &&Step| step.verdict == StepVerdict::Generator && Some(step.rate_per_s) == above;
        let of_generator = ramp.steps.iter().any(|step| own(&step));
        Self {
            steps: ramp.steps.clone(),
            knee: ramp.knee.map(|knee| KneeRecord::of(&knee, of_generator)),
        }
    }
}

impl KneeRecord {
    fn of(knee: &Knee, of_generator: bool) -> Self {
        Self {
            rate_per_s: knee.low,
            above_per_s: knee.high,
            repeats: knee.repeats,
            held: knee.held,
            failed: knee.failed,
            of_generator,
        }
    }

    /// The knee, as a phrase.
    #[must_use]
    pub fn phrase(&self) -> String {
        let Some(above) = self.above_per_s else {
            return format!("at least {} requests/s, the last rate of the search", self.rate_per_s);
        };
        let own = if self.of_generator {
            ", limited by the load generator"
        } else {
            ""
        };
        format!(
            "between {:.1} and {above:.1} requests/s{own} (in {}, the lower rate was sustained {} times, the upper failed {} times)",
            self.rate_per_s,
            counted(self.repeats as usize, "repetition"),
            self.held,
            self.failed
        )
    }
}

/// What is known of a load that another program generated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalRecord {
    /// The program.
    pub program: String,
    /// The figures that it does not report.
    pub absent: Vec<String>,
    /// Whether it reports every request; otherwise `requests.jtl` and `latency.hdr` are empty.
    pub requests: bool,
    /// Whether it reports how many requests succeeded and failed.
    #[serde(default = "yes")]
    pub counts: bool,
    /// Its own output, if short.
    pub report: String,
    /// The file that was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// SHA-256 of that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What it says of its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The arguments that it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// The figures that the experiment declares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<FigureRecord>,
}

/// Programs of earlier releases reported their counts.
const fn yes() -> bool {
    true
}

/// A figure in the output of a load program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureRecord {
    /// Its name.
    pub name: Name,
    /// Its value; `None`: the output does not tell it.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: String,
}

impl ExternalRecord {
    /// The record of a program's result.
    #[must_use]
    pub fn of(external: &External) -> Self {
        let figure = |figure: &Figure| FigureRecord {
            name: figure.spec.name.clone(),
            value: figure.value,
            unit: figure.spec.unit.clone(),
        };
        Self {
            program: external.program.clone(),
            absent: external.absent.iter().map(|&word| word.to_owned()).collect(),
            requests: external.requests,
            counts: external.counts,
            report: external.report.clone(),
            path: external.path.clone(),
            sha256: external.sha256.clone(),
            version: external.version.clone(),
            arguments: external.arguments.clone(),
            figures: external.figures.iter().map(figure).collect(),
        }
    }

    /// The value of a figure, if there is one.
    #[must_use]
    pub fn figure(&self, name: &Name) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == *name)?.value
    }
}

/// The response times of a program that reports only these five; 0 for those it does not report.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are positive, and `as` saturates"
)]
pub fn external_response(outcome: &Outcome) -> Option<Distribution> {
    let [min, mean, sd, median, max] = outcome.external.as_ref()?.response_ns?;
    Some(Distribution {
        count: outcome.counts.succeeded,
        min_ns: min as u64,
        mean_ns: mean,
        sd_ns: sd,
        p50_ns: median as u64,
        max_ns: max as u64,
        ..Distribution::default()
    })
}

/// The requests of one label in the measurement window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRecord {
    /// The label.
    pub name: String,
    /// Number of requests.
    pub total: u64,
    /// Failed requests.
    pub failed: u64,
    /// Response time of successful requests.
    pub response: Distribution,
}

/// Accumulates the requests of each label.
#[derive(Debug)]
pub struct LabelTallies(Vec<LabelTally>);

#[derive(Debug)]
struct LabelTally {
    name: String,
    total: u64,
    failed: u64,
    response: Histogram<u64>,
}

impl LabelTallies {
    /// For these labels; empty if there is only one, since the totals describe it.
    #[must_use]
    pub fn new(labels: &[Label]) -> Self {
        let several = labels.iter().filter(|_| labels.len() > 1);
        let empty = Histograms::new().response;
        let tally = |label: &Label| LabelTally {
            name: label.name.clone(),
            total: 0,
            failed: 0,
            response: empty.clone(),
        };
        Self(several.map(tally).collect())
    }

    /// Counts a request.
    pub fn add(&mut self, request: &Request) {
        let Some(tally) = self.0.get_mut(usize::from(request.label)).filter(|_| !request.warm_up) else {
            return;
        };
        tally.total += 1;
        if request.error.is_some() {
            tally.failed += 1;
        } else {
            tally.response.saturating_record(request.response_ns());
        }
    }

    /// The records, in the order of the labels.
    #[must_use]
    pub fn records(self) -> Vec<LabelRecord> {
        let record = |tally: LabelTally| LabelRecord {
            name: tally.name,
            total: tally.total,
            failed: tally.failed,
            response: Distribution::of(&tally.response),
        };
        self.0.into_iter().map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::jtl::tests::request;
    use super::*;
    use loader::ErrorKind;

    #[test]
    fn figures_are_kept_per_label() {
        let label = |name: &str| Label {
            name: name.into(),
            url: String::new(),
        };
        let mut tallies = LabelTallies::new(&[label("a"), label("b")]);
        let b = Request {
            label: 1,
            error: Some(ErrorKind::Timeout),
            ..request(5)
        };
        [request(0), b, Request { warm_up: true, ..b }]
            .iter()
            .for_each(|r| tallies.add(r));
        let records = tallies.records();
        assert_eq!(
            (records[0].total, records[0].failed, records[0].response.count),
            (1, 0, 1)
        );
        assert_eq!(
            (records[1].total, records[1].failed, records[1].response.count),
            (1, 1, 0)
        );
        assert!(LabelTallies::new(&[label("")]).records().is_empty());
    }
}
