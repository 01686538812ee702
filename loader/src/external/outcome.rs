//! The outcome of an external program.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::call::Label;
use crate::clock::nanos;
use crate::error::ErrorKind;
use crate::log::RequestLog;
use crate::outcome::{Origin, Outcome};
use crate::request::Request;
use crate::tally::{Counts, Tally};
use crate::target::Target;

/// What an external program reports in addition to the common figures.
#[derive(Debug, Clone, PartialEq)]
pub struct External {
    /// The program.
    pub program: &'static str,
    /// Figures that it does not report.
    pub absent: &'static [&'static str],
    /// Whether it reports individual requests.
    pub requests: bool,
    /// Its response times, if it does not report requests: min, mean, standard deviation, median, max, ns.
    pub response_ns: Option<[f64; 5]>,
    /// Its output, if short.
    pub report: String,
}

impl Outcome {
    /// The outcome of a program that reports individual requests.
    pub(super) fn of_requests(
        mut requests: Vec<Request>,
        origin_ms: u64,
        window: Range<u64>,
        target: &Target,
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
            labels: vec![Label::unnamed(target.url())],
            external: Some(external),
            ..Self::of(tally, Origin::at_unix_ms(origin_ms), log)
        }
    }

    /// The outcome of a program that reports only totals: `good` of `due` replies, and errors by kind. The remaining requests count as not sent.
    pub(super) fn of_sums(
        (due, good): (u64, u64),
        errors: &[(ErrorKind, u64)],
        (started, length): (Instant, Duration),
        target: &Target,
        external: External,
    ) -> Self {
        let tally = Tally::new(0..nanos(length));
        Self {
            labels: vec![Label::unnamed(target.url())],
            counts: Counts::of_sums(due, good, errors),
            external: Some(external),
            ..Self::of(tally, Origin::at_instant(started), RequestLog::default())
        }
    }
}
