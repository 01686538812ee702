//! Results of a loader: PREPARED, PROGRESS, CHUNK and FIRED.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::http::TlsStats;
use super::udp::UdpStats;

/// The body of PREPARED: nothing. The load's threads and connections exist and wait for START.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepared {}

/// The body of PROGRESS: counts since the start of the load, including warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Requests sent.
    pub sent: u64,
    /// Requests with a correct reply.
    pub succeeded: u64,
    /// Requests that failed.
    pub failed: u64,
}

/// The body of FIRED: the results of a part of a load. Requests and accepted commands are sent in chunks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fired {
    /// Labels of the requests; a request refers to its label by index.
    pub labels: Vec<RequestLabel>,
    /// Requests scheduled in the measurement window.
    pub window: Tally,
    /// Requests scheduled in the warm-up.
    pub warm_up: Tally,
    /// Latency histograms of the window as an HdrHistogram log (V2, compressed), five tagged lines.
    pub histograms: String,
    /// Start of the load on the loader's clock, ns: the origin of all request times.
    pub start_clock_ns: u64,
    /// Start of the measurement window, ns from the start of the load.
    pub window_start_ns: u64,
    /// End of the measurement window.
    pub window_end_ns: u64,
    /// Little's law over the window.
    pub little: Little,
    /// CPU usage of the loader's threads.
    pub usage: Usage,
    /// Load generator threads.
    pub threads: u32,
    /// Keep-alive connections that the server closed while idle.
    pub closed_idle: u64,
    /// Connections that the server did not close when asked to.
    pub left_open: u64,
    /// UDP statistics, for a load of kind `udp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<UdpStats>,
    /// TLS handshakes, for a load over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStats>,
    /// Number of chunks of [`Stream::Requests`].
    pub request_chunks: u64,
    /// Number of requests in them.
    pub requests: u64,
    /// Number of chunks of [`Stream::Accepted`].
    pub accepted_chunks: u64,
}

/// Describes requests in tables and files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLabel {
    /// Name of the request type; empty if the load has only one.
    pub name: String,
    /// URL, possibly with placeholders.
    pub url: String,
}

/// Request counts by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Requests scheduled.
    pub due: u64,
    /// Requests sent.
    pub sent: u64,
    /// Requests with a correct reply.
    pub succeeded: u64,
    /// Failed requests by error kind.
    pub failed: BTreeMap<String, u64>,
    /// Bytes read, including reply headers.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
}

/// The terms of Little's law over the measurement window; a request is in the system from sent to done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Little {
    /// Mean number of outstanding requests, integrated over time (*L*).
    pub concurrency: f64,
    /// Requests completed in the window, per second (*λ*).
    pub throughput_per_s: f64,
    /// Their mean time from sent to done, ns (*W*).
    pub mean_ns: f64,
}

/// How the load generator's threads were scheduled. Ordered: the greatest of several threads is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheduling {
    /// Real-time (`SCHED_FIFO`, priority 1) throughout.
    RealTime,
    /// Real-time until a thread kept its CPU busy for more than half of the time; `SCHED_OTHER` from then on.
    GaveUp,
    /// `SCHED_OTHER`, because real-time scheduling was denied (it needs `CAP_SYS_NICE` or `RLIMIT_RTPRIO`).
    Refused,
    /// `SCHED_OTHER`, as configured.
    Normal,
}

/// How CPUs were kept from sleeping between requests. Ordered: the greatest of several load machines is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Awake {
    /// By a wake-up latency of 0 us in `/dev/cpu_dma_latency`.
    Latency,
    /// Virtual CPUs: by a process of idle priority on each.
    IdlePriority,
    /// Not at all: idle priority does not yield to other control groups with CPU weights.
    ControlGroups,
    /// Not at all: `/dev/cpu_dma_latency` is missing or needs root.
    Denied,
}

/// CPU usage of threads from the start of the load to their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// CPU time, ns, summed over threads.
    pub cpu_ns: u64,
    /// The part of it spent busy-polling, ns.
    pub spun_ns: u64,
    /// Time runnable but waiting for a CPU, ns, summed over threads.
    pub run_queue_ns: u64,
    /// Wall time, ns, summed over threads.
    pub wall_ns: u64,
    /// Utilization of the busiest thread without busy-polling, parts per million of its wall time.
    pub busiest_ppm: u64,
    /// How they were scheduled; absent for UDP loads and for loaders that do not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<Scheduling>,
    /// How CPUs were kept awake; absent if they were not to be, and for loads by other programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awake: Option<Awake>,
}

impl Little {
    /// *L / (λW)*: 1 except for requests that cross a boundary of the window; 1 if no request completed.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        let right = self.throughput_per_s * self.mean_ns / 1e9;
        if right > 0.0 { self.concurrency / right } else { 1.0 }
    }
}

impl Usage {
    /// Adds the usage of another thread.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns + other.cpu_ns,
            run_queue_ns: self.run_queue_ns + other.run_queue_ns,
            wall_ns: self.wall_ns + other.wall_ns,
            spun_ns: self.spun_ns + other.spun_ns,
            busiest_ppm: self.busiest_ppm.max(other.busiest_ppm),
            scheduling: self.scheduling.max(other.scheduling),
            awake: self.awake.max(other.awake),
        }
    }

    /// CPU time as a fraction of wall time; 1: never slept.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio for display")]
    pub fn cpu_share(&self) -> f64 {
        self.cpu_ns as f64 / self.wall_ns.max(1) as f64
    }

    /// The same without busy-polling; 1: always working.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio for display")]
    pub fn work_share(&self) -> f64 {
        self.cpu_ns.saturating_sub(self.spun_ns) as f64 / self.wall_ns.max(1) as f64
    }
}

/// The body of CHUNK: a piece of results that are too large for one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    /// The stream that it belongs to.
    pub of: Stream,
    /// Index of the chunk, from 0.
    pub number: u64,
    /// The content, compressed with zlib (RFC 1950) and base64-encoded.
    pub data: String,
}

/// The streams that are sent in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// All requests in completion order, 64 bytes each.
    Requests,
    /// Commands that the services accepted and must not lose: one JSON object per line.
    Accepted,
}
