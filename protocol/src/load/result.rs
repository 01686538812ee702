//! What a loader brings back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::udp::UdpFigures;

/// The body of PREPARED: nothing. Threads and connections of the load are there and wait for START.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepared {}

/// The body of PROGRESS: how far the load is, warm-up included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Requests that went out.
    pub sent: u64,
    /// Requests with a right reply.
    pub succeeded: u64,
    /// Requests that failed.
    pub failed: u64,
}

/// The body of FIRED: what a part of a load measured. Its requests and what was accepted come in chunks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fired {
    /// What the requests are; each names its place in here.
    pub labels: Vec<RequestLabel>,
    /// Requests that were intended in the window.
    pub window: Tally,
    /// Requests that were intended in the warm-up.
    pub warm_up: Tally,
    /// The histograms of the window as a log of HdrHistogram (V2, compressed), five tagged lines.
    pub histograms: String,
    /// The start of the load on the loader's clock, ns: the zero of all times of its requests.
    pub start_clock_ns: u64,
    /// The beginning of the measured window, ns from the start.
    pub window_start_ns: u64,
    /// Its end.
    pub window_end_ns: u64,
    /// Both sides of Little's law over the window.
    pub little: Little,
    /// What the loader's threads took.
    pub usage: Usage,
    /// Threads that fired.
    pub threads: u32,
    /// Kept connections that the server closed between two requests.
    pub closed_idle: u64,
    /// Connections that the server left open although it was asked to close them.
    pub left_open: u64,
    /// What only a stream of packets has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<UdpFigures>,
    /// Chunks of [`Stream::Requests`].
    pub request_chunks: u64,
    /// Requests in them.
    pub requests: u64,
    /// Chunks of [`Stream::Accepted`].
    pub accepted_chunks: u64,
}

/// What requests are, for tables and files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLabel {
    /// The name among the calls of the load; empty where it has only one.
    pub name: String,
    /// Where they go.
    pub url: String,
}

/// How many requests ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Requests that were due.
    pub due: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Requests with a right reply.
    pub succeeded: u64,
    /// Requests that failed, by kind.
    pub failed: BTreeMap<String, u64>,
    /// Bytes read, heads included.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
}

/// Both sides of Little's law, for requests from sent to done within the measured window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Little {
    /// Mean number of requests under way, by integration over time.
    pub concurrency: f64,
    /// Requests that ended in the window, a second.
    pub throughput_per_s: f64,
    /// Mean time from sent to done of those, ns.
    pub mean_ns: f64,
}

/// How the kernel scheduled the threads of a load generator. Ordered: of several threads the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheduling {
    /// In real time (`SCHED_FIFO`, priority 1) from start to end.
    RealTime,
    /// In real time until a thread kept its CPU busy for more than half of the time; from then on like any other thread.
    GaveUp,
    /// Like any other thread: real time was refused (it needs `CAP_SYS_NICE` or `RLIMIT_RTPRIO`).
    Refused,
    /// Like any other thread, as ordered.
    Normal,
}

/// What threads took, from the start of the load to their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Time on a CPU, ns, summed over threads.
    pub cpu_ns: u64,
    /// Part of it that only watched the clock and its sockets, ns.
    pub spun_ns: u64,
    /// Time ready to run but without a CPU, ns, summed over threads.
    pub run_queue_ns: u64,
    /// Time that passed, ns, summed over threads.
    pub wall_ns: u64,
    /// CPU time of the busiest thread as a share of its own wall time, parts per million.
    pub busiest_ppm: u64,
    /// How they were scheduled; absent of streams of packets, and of loaders that do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<Scheduling>,
}

impl Little {
    /// Left side over right side: 1 but for the requests that cross an edge of the window; 1 if nothing ended.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        let right = self.throughput_per_s * self.mean_ns / 1e9;
        if right > 0.0 { self.concurrency / right } else { 1.0 }
    }
}

impl Usage {
    /// The sum of two threads.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns + other.cpu_ns,
            run_queue_ns: self.run_queue_ns + other.run_queue_ns,
            wall_ns: self.wall_ns + other.wall_ns,
            spun_ns: self.spun_ns + other.spun_ns,
            busiest_ppm: self.busiest_ppm.max(other.busiest_ppm),
            scheduling: self.scheduling.max(other.scheduling),
        }
    }

    /// CPU time as a share of wall time: 1 is a thread that never slept.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
    pub fn cpu_share(&self) -> f64 {
        self.cpu_ns as f64 / self.wall_ns.max(1) as f64
    }

    /// The same without what was spun: 1 is a thread that always had something to do.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
    pub fn work_share(&self) -> f64 {
        self.cpu_ns.saturating_sub(self.spun_ns) as f64 / self.wall_ns.max(1) as f64
    }
}

/// The body of CHUNK: a piece of what is too long for one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    /// What it is a piece of.
    pub of: Stream,
    /// Which piece, from 0.
    pub number: u64,
    /// Its bytes, by zlib (RFC 1950) and base64.
    pub data: String,
}

/// What comes in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Every request in the order of their end, 64 bytes each.
    Requests,
    /// What the services accepted and must not have lost: JSON, an object a line.
    Accepted,
}
