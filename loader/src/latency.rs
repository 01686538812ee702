//! `latency.hdr`: the histograms of one attempt, in the interval log of HdrHistogram, one tagged line each.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::Histograms;

/// The tags in the file, in its order.
const TAGS: [&str; 5] = ["response", "response_all", "service", "lag", "connect"];

fn parts(all: &Histograms) -> [&Histogram<u64>; 5] {
    [&all.response, &all.response_all, &all.service, &all.lag, &all.connect]
}

/// The file's bytes; `window` is the length of what was measured.
///
/// # Errors
/// The library's, in words; it does not happen with histograms that it made.
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

/// Reads the file's bytes.
///
/// # Errors
/// What is wrong with them, in words.
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

/// What a table says of a histogram. All in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// The smallest.
    pub min_ns: u64,
    /// The mean.
    pub mean_ns: f64,
    /// The standard deviation over requests, which says nothing about that over trials.
    pub sd_ns: f64,
    /// The median.
    pub p50_ns: u64,
    /// The 90th percentile.
    pub p90_ns: u64,
    /// The 95th percentile.
    pub p95_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th percentile.
    pub p999_ns: u64,
    /// The largest.
    pub max_ns: u64,
}

impl Distribution {
    /// Reads the figures off a histogram; all 0 if it is empty.
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

/// The distributions of an attempt.
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
    /// The figures of all of them.
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
    fn the_log_survives_the_round_trip() {
        let bytes = to_log(&example(), Duration::from_secs(10)).unwrap();
        assert_eq!(from_log(&bytes).unwrap(), example());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("Tag=response,0.000,10.000,"), "{text}");
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
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
    fn an_empty_histogram_has_no_figures() {
        let none = Histograms::new();
        assert_eq!(Distribution::of(&none.connect), Distribution::default());
    }
}
