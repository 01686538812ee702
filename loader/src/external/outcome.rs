//! What another program measured, as the outcome of an engine.

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::call::Label;
use crate::error::ErrorKind;
use crate::log::RequestLog;
use crate::outcome::{Origin, Outcome};
use crate::request::Request;
use crate::tally::{Counts, Tally};
use crate::target::Target;

/// What is known of a load that another program fired, besides the common figures.
#[derive(Debug, Clone, PartialEq)]
pub struct External {
    /// The program.
    pub program: &'static str,
    /// What it cannot tell, in words.
    pub absent: &'static [&'static str],
    /// Whether it tells of every request.
    pub requests: bool,
    /// What it says of response times where it tells of no requests: smallest, mean, standard deviation, median, largest, ns.
    pub response_ns: Option<[f64; 5]>,
    /// What it wrote, where that is short.
    pub report: String,
}

impl Outcome {
    /// The outcome of a program that tells of every request.
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
            labels: vec![label(target)],
            external: Some(external),
            ..Self::of(tally, Origin::at(instant_of(origin_ms), origin_ms), log)
        }
    }

    /// The outcome of a program that tells only sums: `good` replies of those `due`, and failures by kind. What it does not account for counts as not sent.
    pub(super) fn of_sums(
        (due, good): (u64, u64),
        errors: &[(ErrorKind, u64)],
        (started, length): (Instant, Duration),
        target: &Target,
        external: External,
    ) -> Self {
        let length_ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .saturating_sub(started.elapsed());
        let origin = Origin::at(started, u64::try_from(since.as_millis()).unwrap_or(0));
        let tally = Tally::new(0..length_ns);
        Self {
            labels: vec![label(target)],
            counts: Counts::of_sums(due, good, errors),
            external: Some(external),
            ..Self::of(tally, origin, RequestLog::default())
        }
    }
}

fn label(target: &Target) -> Label {
    Label {
        name: String::new(),
        url: target.url(),
    }
}

/// A moment of the wall clock on the monotonic one, as far as the two agree now.
fn instant_of(unix_ms: u64) -> Instant {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ago = now_ms.saturating_sub(Duration::from_millis(unix_ms));
    Instant::now().checked_sub(ago).unwrap_or_else(Instant::now)
}
