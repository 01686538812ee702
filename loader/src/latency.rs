//! Latency histograms of a measurement window, their percentiles, and their file format.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::request::Request;

/// Highest value of a histogram: one hour, ns. Larger values are clamped.
const HIGHEST_NS: u64 = 3_600_000_000_000;
/// Significant decimal digits of a histogram.
const DIGITS: u8 = 3;

/// Latency histograms of the requests of the window, ns.
#[derive(Debug, Clone, PartialEq)]
pub struct Histograms {
    /// Response time (done - intended) of requests with a correct reply.
    pub response: Histogram<u64>,
    /// Response time of all requests; failed ones up to their failure.
    pub response_all: Histogram<u64>,
    /// Service time (done - sent) of requests with a correct reply.
    pub service: Histogram<u64>,
    /// Lag (sent - intended) of all requests sent.
    pub lag: Histogram<u64>,
    /// Connect time (connected - sent) of requests that opened a connection.
    pub connect: Histogram<u64>,
}

impl Histograms {
    /// Empty histograms.
    #[must_use]
    pub fn new() -> Self {
        Self {
            response: empty(),
            response_all: empty(),
            service: empty(),
            lag: empty(),
            connect: empty(),
        }
    }

    /// Adds the histograms of another thread or loader, which is lossless.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.response, &other.response),
            (&mut self.response_all, &other.response_all),
            (&mut self.service, &other.service),
            (&mut self.lag, &other.lag),
            (&mut self.connect, &other.connect),
        ];
        for (mine, theirs) in pairs {
            // Fails only for values above the highest, which is the same in both.
            let _ = mine.add(theirs);
        }
    }

    /// Records a request of the window.
    pub fn record(&mut self, request: &Request) {
        self.response_all.saturating_record(request.response_ns());
        if let Some(lag) = request.lag_ns() {
            self.lag.saturating_record(lag);
        }
        if let Some(connect) = request.connect_ns() {
            self.connect.saturating_record(connect);
        }
        if let (None, Some(service)) = (request.error, request.service_ns()) {
            self.response.saturating_record(request.response_ns());
            self.service.saturating_record(service);
        }
    }
}

impl Default for Histograms {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::expect_used, reason = "the bounds are valid constants")]
fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS).expect("valid bounds")
}

/// The tags in file order.
const TAGS: [&str; 5] = ["response", "response_all", "service", "lag", "connect"];

fn parts(all: &Histograms) -> [&Histogram<u64>; 5] {
    [&all.response, &all.response_all, &all.service, &all.lag, &all.connect]
}

/// Encodes `latency.hdr`: an HdrHistogram interval log with one tagged line per histogram. `window` is the length of the measurement window.
///
/// # Errors
/// The library's error; does not occur with valid histograms.
pub fn to_log(all: &Histograms, window: Duration) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("Jung latency histograms, values in ns")
        .begin_log_with(&mut bytes, &mut serializer)
        .map_err(|e| e.to_string())?;
    for (tag, histogram) in TAGS.into_iter().zip(parts(all)) {
        let tag = Tag::new(tag).ok_or("bad tag")?;
        log.write_histogram(histogram, Duration::ZERO, window, Some(tag))
            .map_err(|e| format!("{e:?}"))?;
    }
    Ok(bytes)
}

/// Decodes `latency.hdr`.
///
/// # Errors
/// The problem as text.
pub fn from_log(bytes: &[u8]) -> Result<Histograms, String> {
    let mut parts: [Option<Histogram<u64>>; 5] = Default::default();
    for entry in IntervalLogIterator::new(bytes) {
        let LogEntry::Interval(line) = entry.map_err(|e| format!("{e:?}"))? else {
            continue;
        };
        let tag = line.tag().ok_or("a line without a tag")?;
        let place = TAGS.iter().position(|known| *known == tag.as_str());
        let place = place.ok_or_else(|| format!("unknown tag {:?}", tag.as_str()))?;
        let raw = STANDARD.decode(line.encoded_histogram()).map_err(|e| e.to_string())?;
        let histogram = Deserializer::new()
            .deserialize(&mut raw.as_slice())
            .map_err(|e| e.to_string())?;
        if parts[place].replace(histogram).is_some() {
            return Err(format!("two histograms {:?}", TAGS[place]));
        }
    }
    match parts {
        [
            Some(response),
            Some(response_all),
            Some(service),
            Some(lag),
            Some(connect),
        ] => Ok(Histograms {
            response,
            response_all,
            service,
            lag,
            connect,
        }),
        _ => Err("a histogram is missing".to_owned()),
    }
}

/// Summary statistics of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Number of values.
    pub count: u64,
    /// Minimum.
    pub min_ns: u64,
    /// Mean.
    pub mean_ns: f64,
    /// Standard deviation over requests, not over trials.
    pub sd_ns: f64,
    /// Median.
    pub p50_ns: u64,
    /// 90th percentile.
    pub p90_ns: u64,
    /// 95th percentile.
    pub p95_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p999_ns: u64,
    /// Maximum.
    pub max_ns: u64,
}

impl Distribution {
    /// The statistics of a histogram; all 0 if it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |q| histogram.value_at_quantile(q);
        Self {
            count: histogram.len(),
            min_ns: histogram.min(),
            mean_ns: histogram.mean(),
            sd_ns: histogram.stdev(),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p95_ns: at(0.95),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: histogram.max(),
        }
    }
}

/// The latency statistics of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// See [`Histograms::response`].
    pub response: Distribution,
    /// See [`Histograms::response_all`].
    pub response_all: Distribution,
    /// See [`Histograms::service`].
    pub service: Distribution,
    /// See [`Histograms::lag`].
    pub lag: Distribution,
    /// See [`Histograms::connect`].
    pub connect: Distribution,
}

impl Latency {
    /// The statistics of all histograms.
    #[must_use]
    pub fn of(histograms: &Histograms) -> Self {
        Self {
            response: Distribution::of(&histograms.response),
            response_all: Distribution::of(&histograms.response_all),
            service: Distribution::of(&histograms.service),
            lag: Distribution::of(&histograms.lag),
            connect: Distribution::of(&histograms.connect),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_above_the_highest_are_clamped() {
        let mut histogram = empty();
        histogram.saturating_record(u64::MAX);
        assert_eq!(histogram.len(), 1);
        assert!(histogram.max() >= HIGHEST_NS);
    }

    fn example() -> Histograms {
        let mut all = Histograms::new();
        for value in [1_000, 250_000, 250_000, 3_000_000_000] {
            all.response.record(value).unwrap();
            all.service.record(value / 2).unwrap();
        }
        all.lag.record(0).unwrap();
        all
    }

    #[test]
    fn the_log_round_trips() {
        let bytes = to_log(&example(), Duration::from_secs(10)).unwrap();
        assert_eq!(from_log(&bytes).unwrap(), example());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("Tag=response,0.000,10.000,"), "{text}");
    }

    #[test]
    fn a_damaged_log_is_an_error() {
        let bytes = to_log(&example(), Duration::from_secs(10)).unwrap();
        for cut in 0..bytes.len() {
            if let Ok(read) = from_log(&bytes[..cut]) {
                assert_eq!(read, example(), "only the last newline may be missing");
            }
        }
        let text = String::from_utf8(bytes).unwrap().replace("Tag=lag", "Tag=bag");
        assert!(from_log(text.as_bytes()).unwrap_err().contains("bag"));
    }

    #[test]
    fn an_empty_histogram_has_no_statistics() {
        let none = Histograms::new();
        assert_eq!(Distribution::of(&none.connect), Distribution::default());
    }
}
