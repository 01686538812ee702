//! The results of a load.

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::load::{Little, TlsStats, Usage};

use super::call::Label;
use super::clock::{monotonic_ns, nanos};
use super::external::External;
use super::latency::Histograms;
use super::log::RequestLog;
use super::ramp::Ramp;
use super::tally::{Counts, Tally};
use super::udp::UdpStats;

/// The results of one run of an engine.
#[derive(Debug)]
pub struct Outcome {
    /// Labels of the requests; a request refers to its label by index.
    pub labels: Vec<Label>,
    /// All requests, including warm-up.
    pub requests: RequestLog,
    /// Counts of the requests scheduled in the window.
    pub counts: Counts,
    /// Counts of the requests scheduled in the warm-up.
    pub warm_up: Counts,
    /// Latency histograms of the requests scheduled in the window.
    pub histograms: Histograms,
    /// Start of the run, i.e. of the warm-up: the origin of all request times.
    pub started: Instant,
    /// The same as CLOCK_MONOTONIC, ns; 0 if no request was timed with it.
    pub started_monotonic_ns: u64,
    /// The same as wall-clock time, ms since 1970, read once.
    pub started_unix_ms: u64,
    /// The measurement window, ns from the start.
    pub window: Range<u64>,
    /// Little's law over the window.
    pub little: Little,
    /// CPU usage of the engine's threads.
    pub usage: Usage,
    /// Number of threads.
    pub threads: usize,
    /// Keep-alive connections that the server closed while idle.
    pub closed_idle: u64,
    /// Connections that the server did not close within 0.5 s when asked to.
    pub left_open: u64,
    /// The result of a rate search, if the load is one.
    pub ramp: Option<Ramp>,
    /// What an external program reported, if one generated the load.
    pub external: Option<External>,
    /// Whether the load was cancelled before its end.
    pub cancelled: bool,
    /// UDP statistics, for a load of kind `udp`.
    pub udp: Option<UdpStats>,
    /// TLS handshakes, for a load over TLS.
    pub tls: Option<TlsStats>,
}

impl Outcome {
    /// The outcome of a tally, with defaults for what only the engine knows: labels, threads, cancellation.
    pub(super) fn of(mut tally: Tally, origin: Origin, requests: RequestLog) -> Self {
        let window = tally.close();
        Self {
            labels: Vec::new(),
            counts: tally.window,
            warm_up: tally.warm_up,
            histograms: tally.histograms,
            started: origin.instant,
            started_monotonic_ns: origin.monotonic_ns,
            started_unix_ms: origin.unix_ms,
            window,
            little: tally.integral.law(),
            usage: tally.usage,
            threads: 1,
            closed_idle: tally.closed_idle,
            left_open: tally.left_open,
            ramp: None,
            external: None,
            cancelled: false,
            udp: None,
            tls: None,
            requests,
        }
    }

    /// Correct replies per second of the window.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate for display")]
    pub fn throughput_per_s(&self) -> f64 {
        let window_ns = (self.window.end - self.window.start).max(1) as f64;
        self.counts.succeeded as f64 * 1e9 / window_ns
    }
}

/// One point in time on three clocks.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// CLOCK_MONOTONIC, ns; 0: no request is timed with it.
    pub monotonic_ns: u64,
    instant: Instant,
    unix_ms: u64,
}

impl Origin {
    /// A CLOCK_MONOTONIC time, ns.
    pub fn at_monotonic(ns: u64) -> Self {
        let (now_ns, now) = (monotonic_ns(), Instant::now());
        let past = Duration::from_nanos(now_ns.saturating_sub(ns));
        let future = Duration::from_nanos(ns.saturating_sub(now_ns));
        Self {
            monotonic_ns: ns,
            ..Self::at_instant(now.checked_sub(past).unwrap_or(now) + future)
        }
    }

    /// A time this long from now.
    pub fn after(delay: Duration) -> Self {
        Self::at_monotonic(monotonic_ns() + nanos(delay))
    }

    /// An instant, without CLOCK_MONOTONIC.
    pub fn at_instant(instant: Instant) -> Self {
        let (now, wall) = (
            Instant::now(),
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        );
        let unix =
            (wall + instant.saturating_duration_since(now)).saturating_sub(now.saturating_duration_since(instant));
        Self {
            monotonic_ns: 0,
            instant,
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// A wall-clock time, without CLOCK_MONOTONIC; assumes that the clocks have not been set since.
    pub fn at_unix_ms(unix_ms: u64) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ago = wall.saturating_sub(Duration::from_millis(unix_ms));
        Self {
            monotonic_ns: 0,
            instant: Instant::now().checked_sub(ago).unwrap_or_else(Instant::now),
            unix_ms,
        }
    }

    /// The wall-clock time, ms since 1970.
    pub fn unix_ms(self) -> u64 {
        self.unix_ms
    }
}
