//! Counts and histograms, recorded by each thread and merged by addition.

use super::control::Progress;
use super::error::ErrorKind;
use super::latency::Histograms;
use super::little::ConcurrencyIntegral;
use super::request::Request;
use protocol::load::{TlsStats, Usage};

/// Request counts by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests scheduled.
    pub due: u64,
    /// Requests sent.
    pub sent: u64,
    /// Requests with a correct reply.
    pub succeeded: u64,
    /// Failed requests, by error kind.
    failed: [u64; ErrorKind::ALL.len()],
    /// Bytes read, including headers.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
}

impl Counts {
    /// Requests that failed with this error kind.
    #[must_use]
    pub fn of(&self, kind: ErrorKind) -> u64 {
        self.failed[kind as usize]
    }

    /// Requests that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// The error kinds that occurred, with their counts.
    pub fn errors(&self) -> impl Iterator<Item = (ErrorKind, u64)> + '_ {
        ErrorKind::ALL
            .into_iter()
            .map(|kind| (kind, self.of(kind)))
            .filter(|(_, count)| *count > 0)
    }

    /// The counts of a program that reports only totals; the remaining requests count as not sent.
    pub(super) fn of_sums(due: u64, succeeded: u64, errors: &[(ErrorKind, u64)]) -> Self {
        let mut counts = Self {
            due,
            succeeded: succeeded.min(due),
            ..Self::default()
        };
        let mut left = due - counts.succeeded;
        for (kind, count) in errors {
            let count = left.min(*count);
            counts.failed[*kind as usize] += count;
            left -= count;
        }
        counts.failed[ErrorKind::NotSent as usize] += left;
        counts.sent = due - counts.of(ErrorKind::NotSent);
        counts
    }

    /// Adds failed requests.
    pub const fn fail(&mut self, kind: ErrorKind, count: u64) {
        self.failed[kind as usize] += count;
    }

    /// Adds the counts of another thread or loader.
    pub fn add(&mut self, other: &Self) {
        self.due += other.due;
        self.sent += other.sent;
        self.succeeded += other.succeeded;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        for (mine, theirs) in self.failed.iter_mut().zip(other.failed) {
            *mine += theirs;
        }
    }

    fn record(&mut self, request: &Request) {
        self.due += 1;
        self.sent += u64::from(request.sent_ns.is_some());
        self.bytes_in += request.bytes_in;
        self.bytes_out += request.bytes_out;
        match request.error {
            None => self.succeeded += 1,
            Some(kind) => self.failed[kind as usize] += 1,
        }
    }
}

/// Everything that one thread records.
#[derive(Debug)]
pub struct Tally {
    pub window: Counts,
    pub warm_up: Counts,
    pub histograms: Histograms,
    pub integral: ConcurrencyIntegral,
    /// Scheduled time of the first request of the window, and end of the last one, ns.
    span: (u64, u64),
    window_range: std::ops::Range<u64>,
    pub usage: Usage,
    /// Keep-alive connections that the server closed or reset while idle.
    pub closed_idle: u64,
    /// Connections that the server did not close when asked to.
    pub left_open: u64,
    /// TLS handshakes.
    pub tls: TlsStats,
    pub progress: Progress,
}

impl Tally {
    pub fn new(window: std::ops::Range<u64>) -> Self {
        Self {
            window: Counts::default(),
            warm_up: Counts::default(),
            histograms: Histograms::new(),
            integral: ConcurrencyIntegral::new(window.clone()),
            span: (u64::MAX, 0),
            window_range: window,
            usage: Usage::default(),
            closed_idle: 0,
            left_open: 0,
            tls: TlsStats::default(),
            progress: Progress::default(),
        }
    }

    /// Records that a request is about to be sent.
    pub fn sent(&mut self, now_ns: u64) {
        self.integral.begin(now_ns);
        self.progress.sent += 1;
    }

    /// Records a completed or failed request.
    pub fn record(&mut self, request: &Request) {
        if let Some(sent_ns) = request.sent_ns {
            self.integral.end(sent_ns, request.done_ns);
        }
        match request.error {
            None => self.progress.succeeded += 1,
            Some(_) => self.progress.failed += 1,
        }
        if request.warm_up {
            self.warm_up.record(request);
        } else {
            self.window.record(request);
            self.histograms.record(request);
            self.span.0 = self.span.0.min(request.intended_ns);
            self.span.1 = self.span.1.max(request.done_ns);
        }
    }

    /// Adds the tally of another thread.
    pub fn add(&mut self, other: Self) {
        self.window.add(&other.window);
        self.warm_up.add(&other.warm_up);
        self.histograms.add(&other.histograms);
        self.integral.add(&other.integral);
        self.span.0 = self.span.0.min(other.span.0);
        self.span.1 = self.span.1.max(other.span.1);
        self.usage = self.usage.plus(other.usage);
        self.closed_idle += other.closed_idle;
        self.left_open += other.left_open;
        self.tls.add(&other.tls);
    }

    /// Returns the window, ns; an open-ended one is from the scheduled time of its first request to the end of its last.
    pub fn close(&mut self) -> std::ops::Range<u64> {
        if self.window_range.end == u64::MAX {
            let (start, end) = (self.span.0.min(self.span.1), self.span.1);
            self.integral.close(end);
            self.window_range = start..end;
        }
        self.window_range.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(times: (u32, u32, u32), failed: bool) -> Request {
        let (intended, lag, service) = (u64::from(times.0), u64::from(times.1), u64::from(times.2));
        Request {
            intended_ns: intended,
            sent_ns: Some(intended + lag),
            connected_ns: None,
            first_byte_ns: None,
            done_ns: intended + lag + service,
            label: 0,
            status: 200,
            bytes_in: 10,
            bytes_out: 5,
            connection: 0,
            thread: 0,
            in_flight: 1,
            error: failed.then_some(ErrorKind::Timeout),
            warm_up: false,
        }
    }

    proptest! {
        #[test]
        fn merged_tallies_equal_the_tally_of_all_requests(
            requests in prop::collection::vec((any::<(u32, u32, u32)>(), any::<bool>()), 0..200), cut in any::<prop::sample::Index>(),
        ) {
            let requests: Vec<_> = requests.into_iter().map(|(times, failed)| request(times, failed)).collect();
            let tally_of = |part: &[Request]| {
                let mut tally = Tally::new(0..u64::MAX);
                part.iter().for_each(|r| tally.record(r));
                tally
            };
            let (a, b) = requests.split_at(cut.index(requests.len() + 1));
            let (mut merged, whole) = (tally_of(a), tally_of(&requests));
            merged.add(tally_of(b));
            prop_assert_eq!(&merged.window, &whole.window);
            prop_assert_eq!(merged.histograms, whole.histograms);
        }
    }
}
