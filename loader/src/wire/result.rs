//! What came of a part of a load.

use std::time::{Duration, Instant};

use protocol::load::{self as wire, Fired};

use crate::latency;
use crate::{Counts, ErrorKind, Label, Outcome, RequestLog};

/// How many chunks of each stream follow or went before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    /// Of requests.
    pub requests: u64,
    /// Of what was accepted.
    pub accepted: u64,
}

/// An outcome without its requests, which went before in chunks.
///
/// # Errors
/// Histograms that cannot be written, in words; it does not happen with those of an engine.
pub fn fired(outcome: &Outcome, requests: u64, chunks: Chunks) -> Result<Fired, String> {
    let length = outcome.window.end.saturating_sub(outcome.window.start);
    let histograms = latency::to_log(&outcome.histograms, Duration::from_nanos(length))?;
    let label = |label: &Label| wire::RequestLabel {
        name: label.name.clone(),
        url: label.url.clone(),
    };
    Ok(Fired {
        labels: outcome.labels.iter().map(label).collect(),
        window: tally(&outcome.counts),
        warm_up: tally(&outcome.warm_up),
        histograms: String::from_utf8(histograms).map_err(|error| error.to_string())?,
        start_clock_ns: outcome.started_monotonic_ns,
        window_start_ns: outcome.window.start,
        window_end_ns: outcome.window.end,
        little: outcome.little,
        usage: outcome.usage,
        threads: u32::try_from(outcome.threads).unwrap_or(u32::MAX),
        closed_idle: outcome.closed_idle,
        left_open: outcome.left_open,
        udp: outcome.udp.clone(),
        request_chunks: chunks.requests,
        requests,
        accepted_chunks: chunks.accepted,
    })
}

/// What a loader says, as an outcome of this process; its clock is not this one's, so that `started` says nothing yet.
///
/// # Errors
/// What of it makes no sense, in words.
pub fn outcome(fired: &Fired, requests: RequestLog) -> Result<Outcome, String> {
    Ok(Outcome {
        labels: fired.labels.iter().map(label).collect(),
        requests,
        counts: counts(&fired.window)?,
        warm_up: counts(&fired.warm_up)?,
        histograms: latency::from_log(fired.histograms.as_bytes())?,
        started: Instant::now(),
        started_monotonic_ns: 0,
        started_unix_ms: 0,
        window: window(fired)?,
        little: fired.little,
        usage: fired.usage,
        threads: usize::try_from(fired.threads).unwrap_or(usize::MAX),
        closed_idle: fired.closed_idle,
        left_open: fired.left_open,
        ramp: None,
        external: None,
        cancelled: false,
        udp: fired.udp.clone(),
    })
}

fn window(fired: &Fired) -> Result<std::ops::Range<u64>, String> {
    let (start, end) = (fired.window_start_ns, fired.window_end_ns);
    if start > end {
        return Err(format!("its window begins at {start} ns and ends at {end} ns"));
    }
    Ok(start..end)
}

fn label(label: &wire::RequestLabel) -> Label {
    Label {
        name: label.name.clone(),
        url: label.url.clone(),
    }
}

fn tally(counts: &Counts) -> wire::Tally {
    wire::Tally {
        due: counts.due,
        sent: counts.sent,
        succeeded: counts.succeeded,
        failed: counts.errors().map(|(kind, n)| (kind.name().to_owned(), n)).collect(),
        bytes_in: counts.bytes_in,
        bytes_out: counts.bytes_out,
    }
}

/// No machine sends so many requests, or bytes: sums of what is below do not overflow.
const MOST: u64 = 1 << 56;

fn counts(tally: &wire::Tally) -> Result<Counts, String> {
    let plain = [tally.due, tally.sent, tally.succeeded, tally.bytes_in, tally.bytes_out];
    if plain.iter().chain(tally.failed.values()).any(|&count| count > MOST) {
        return Err(format!("it counts more than {MOST}"));
    }
    let mut counts = Counts::default();
    (counts.due, counts.sent, counts.succeeded) = (tally.due, tally.sent, tally.succeeded);
    (counts.bytes_in, counts.bytes_out) = (tally.bytes_in, tally.bytes_out);
    for (kind, &count) in &tally.failed {
        let known = ErrorKind::of_name(kind).ok_or_else(|| format!("it has failures of kind {kind:?}"))?;
        counts.fail(known, count);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Control, Engine as _, Rest, Scheduling};

    fn rested() -> Outcome {
        let mut outcome = Rest::new(Duration::from_millis(1)).run(&Control::new()).unwrap();
        outcome.labels = vec![Label {
            name: "a".into(),
            url: "http://x/".into(),
        }];
        outcome.counts.due = 3;
        outcome.counts.succeeded = 1;
        outcome.counts.fail(ErrorKind::Timeout, 2);
        outcome.histograms.response.record(77).unwrap();
        outcome.window = 5..17;
        (outcome.threads, outcome.left_open) = (2, 4);
        outcome.usage.busiest_ppm = 9;
        outcome.usage.scheduling = Some(Scheduling::GaveUp);
        outcome
    }

    #[test]
    fn an_outcome_that_goes_out_comes_in_the_same() {
        let whole = rested();
        let said = fired(&whole, 0, Chunks::default()).unwrap();
        let back = outcome(&said, RequestLog::default()).unwrap();
        assert_eq!((&back.counts, &back.histograms), (&whole.counts, &whole.histograms));
        assert_eq!((&back.window, back.threads), (&whole.window, whole.threads));
        assert_eq!((back.usage, back.left_open), (whole.usage, whole.left_open));
        assert_eq!(back.labels, whole.labels);
    }

    #[test]
    fn nonsense_is_refused() {
        let good = fired(&rested(), 0, Chunks::default()).unwrap();
        let mut strange = good.clone();
        strange.window.failed.insert("moonshine".into(), 1);
        assert!(
            outcome(&strange, RequestLog::default())
                .unwrap_err()
                .contains("moonshine")
        );
        let mut endless = good.clone();
        endless.warm_up.due = u64::MAX;
        assert!(
            outcome(&endless, RequestLog::default())
                .unwrap_err()
                .contains("more than")
        );
        let mut backwards = good.clone();
        backwards.window_start_ns = 18;
        assert!(
            outcome(&backwards, RequestLog::default())
                .unwrap_err()
                .contains("window")
        );
        let cut = Fired {
            histograms: String::new(),
            ..good
        };
        assert!(outcome(&cut, RequestLog::default()).unwrap_err().contains("histogram"));
    }
}
