//! What a load returns.

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::call::Label;
use super::clock::monotonic_ns;
use super::external::External;
use super::histograms::Histograms;
use super::log::RequestLog;
use super::ramp::Ramp;
use super::tally::{Counts, Tally};
use super::udp::UdpFigures;
use protocol::load::Little;
use protocol::load::Usage;

/// All that was measured in one run of an engine.
#[derive(Debug)]
pub struct Outcome {
    /// What the requests are; each names its place in here.
    pub labels: Vec<Label>,
    /// Every request, warm-up included.
    pub requests: RequestLog,
    /// Counts of the requests that were intended in the window.
    pub counts: Counts,
    /// Counts of the requests that were intended in the warm-up.
    pub warm_up: Counts,
    /// Histograms of the requests that were intended in the window.
    pub histograms: Histograms,
    /// The start of the run (of the warm-up), from which all times count.
    pub started: Instant,
    /// The same on CLOCK_MONOTONIC, ns; 0 where nothing was timed by it.
    pub started_monotonic_ns: u64,
    /// The same on the wall clock, ms since 1970, read once: times of requests are offsets from it.
    pub started_unix_ms: u64,
    /// The measured window, ns from the start.
    pub window: Range<u64>,
    /// Both sides of Little's law over the window.
    pub little: Little,
    /// What the engine's threads took.
    pub usage: Usage,
    /// Threads the engine ran.
    pub threads: usize,
    /// Kept-alive connections that the server closed while no request was on them.
    pub closed_idle: u64,
    /// Connections that the server left open for half a second although it was asked to close them.
    pub left_open: u64,
    /// What the search for the highest rate found, of a load that is one.
    pub ramp: Option<Ramp>,
    /// What is known of the program that fired, where it was not one of our engines.
    pub external: Option<External>,
    /// Whether the run was cancelled, so that the schedule was not run to its end.
    pub cancelled: bool,
    /// What only a stream of packets has: loss and where it was, duplicates, order.
    pub udp: Option<UdpFigures>,
}

impl Outcome {
    /// What was gathered, without what only the engine knows: labels, threads, whether it was cancelled.
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
            requests,
        }
    }

    /// Right replies a second of the window.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    pub fn throughput_per_s(&self) -> f64 {
        let window_ns = (self.window.end - self.window.start).max(1) as f64;
        self.counts.succeeded as f64 * 1e9 / window_ns
    }

    /// Whether some request failed for want of something on this machine, so that the run says nothing of the server.
    #[must_use]
    pub fn hit_own_limit(&self) -> bool {
        self.counts.errors().any(|(kind, _)| kind.is_own_limit())
    }
}

/// One moment on three clocks.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// CLOCK_MONOTONIC, ns.
    pub monotonic_ns: u64,
    instant: Instant,
    unix_ms: u64,
}

impl Origin {
    /// A moment that is known on two clocks; nothing is timed by the third then.
    pub(super) fn at(instant: Instant, unix_ms: u64) -> Self {
        Self {
            monotonic_ns: 0,
            instant,
            unix_ms,
        }
    }

    /// A time of CLOCK_MONOTONIC, ns, on the other clocks as well.
    pub fn at_monotonic(ns: u64) -> Self {
        let now = monotonic_ns();
        if ns >= now {
            return Self {
                monotonic_ns: ns,
                ..Self::after(Duration::from_nanos(ns - now))
            };
        }
        let past = Duration::from_nanos(now - ns);
        let (instant, wall) = (Instant::now(), SystemTime::now());
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(past);
        Self {
            monotonic_ns: ns,
            instant: instant.checked_sub(past).unwrap_or(instant),
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// A moment so long from now.
    pub fn after(delay: Duration) -> Self {
        let (now, instant, wall) = (monotonic_ns(), Instant::now(), SystemTime::now());
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default() + delay;
        Self {
            monotonic_ns: now + u64::try_from(delay.as_nanos()).unwrap_or(0),
            instant: instant + delay,
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
