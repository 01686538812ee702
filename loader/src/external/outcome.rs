//! The outcome of an external program.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::figures::Figure;
use crate::call::Label;
use crate::clock::nanos;
use crate::error::ErrorKind;
use crate::log::RequestLog;
use crate::outcome::{Origin, Outcome};
use crate::request::Request;
use crate::tally::{Counts, Tally};

/// What an external program reports in addition to the common figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct External {
    /// The program.
    pub program: String,
    /// The file that was run; `None`: not recorded.
    pub path: Option<String>,
    /// SHA-256 of that file.
    pub sha256: Option<String>,
    /// What it says of its version.
    pub version: Option<String>,
    /// The arguments that it was given; empty: not recorded.
    pub arguments: Vec<String>,
    /// Figures that it does not report.
    pub absent: &'static [&'static str],
    /// Whether it reports individual requests.
    pub requests: bool,
    /// Whether it reports how many requests succeeded and failed.
    pub counts: bool,
    /// Its response times, if it does not report requests: min, mean, standard deviation, median, max, ns.
    pub response_ns: Option<[f64; 5]>,
    /// The figures that the experiment declares.
    pub figures: Vec<Figure>,
    /// Its output, if short.
    pub report: String,
    /// Its output streams and files by name, each cut in the middle if it is long.
    pub outputs: Vec<(String, String)>,
    /// Why it failed; its figures are then incomplete.
    pub failure: Option<String>,
}

impl Outcome {
    /// The outcome of a program that reports individual requests to `url`.
    pub(super) fn of_requests(
        mut requests: Vec<Request>,
        origin_ms: u64,
        window: Range<u64>,
        url: String,
        external: External,
    ) -> Self {
        requests.sort_by_key(|request| request.done_ns);
        let mut begins: Vec<u64> = requests.iter().filter_map(|request| request.sent_ns).collect();
        begins.sort_unstable();
        let (mut tally, mut begins) = (Tally::new(window), begins.into_iter().peekable());
        for request in &requests {
            while let Some(begin) = begins.next_if(|begin| *begin <= request.done_ns) {
                tally.sent(begin);
            }
            tally.record(request);
        }
        let log = RequestLog::of(requests);
        Self {
            labels: vec![Label::unnamed(url)],
            external: Some(external),
            ..Self::of(tally, Origin::at_unix_ms(origin_ms), log)
        }
    }

    /// The outcome of a program that reports only totals: `good` of `due` replies, and errors by kind. The remaining requests count as not sent.
    pub(super) fn of_sums(
        (due, good): (u64, u64),
        errors: &[(ErrorKind, u64)],
        (started, length): (Instant, Duration),
        url: String,
        external: External,
    ) -> Self {
        let tally = Tally::new(0..nanos(length));
        Self {
            labels: vec![Label::unnamed(url)],
            counts: Counts::of_sums(due, good, errors),
            external: Some(external),
            ..Self::of(tally, Origin::at_instant(started), RequestLog::default())
        }
    }
}
