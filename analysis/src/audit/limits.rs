//! Every threshold of the audit. `docs/methodology.md` explains them.

/// Failed requests above this share make an attempt suspect.
pub const FAILED_SUSPECT: f64 = 0.001;
/// Above this share they make it invalid: it then measures failures, not a service.
pub const FAILED_INVALID: f64 = 0.5;
/// Requests under way may differ from rate x time by this share (anchors: published data holds within 10 %).
pub const LITTLE_TOLERANCE: f64 = 0.10;
/// Below this mean service time, ns, the law is not checked: reading the clock takes a share of it.
pub const LITTLE_LEAST_NS: f64 = 10_000.0;
/// Below this many requests it is not checked: those at the window's edges weigh too much.
pub const LITTLE_LEAST_REQUESTS: u64 = 100;
/// The generator's p99 lag may be this share of the ordered interval between two requests: the load then has the order and the spacing that it should have.
pub const LAG_INTERVAL_SHARE: f64 = 0.25;
/// A p99 lag below this, ns, is never held against an attempt, however short the interval: a wake-up of the kernel takes as long.
pub const LAG_LEAST_NS: u64 = 100_000;
/// A p99 lag above this, ns, makes an attempt suspect, however long the interval: response times contain it.
pub const LAG_MOST_NS: u64 = 500_000;
/// A median lag above this, ns, makes an attempt suspect: it is in the median response time, by which platforms are compared.
pub const LAG_MEDIAN_NS: u64 = 100_000;
/// A p99 lag above this, ns, makes an attempt invalid: the load was not the one ordered.
pub const LAG_INVALID_NS: u64 = 10_000_000;
/// A thread of a closed loop that is on a CPU for this share of the time sends as fast as it can, and not as the server allows.
pub const GENERATOR_BUSY: f64 = 0.95;
/// Share of the time that the generator's threads may be ready to run without a CPU.
pub const RUN_QUEUE_SHARE: f64 = 0.10;
/// Share of sampling ticks that may be missed.
pub const MISSED_TICKS: f64 = 0.05;
/// Share of the window that the samples of each service must span.
pub const COVERAGE: f64 = 0.90;
/// CPU time taken by the hypervisor below, share of all, that makes an attempt suspect.
pub const STEAL_SUSPECT: f64 = 0.01;
/// The share that makes it invalid.
pub const STEAL_INVALID: f64 = 0.10;
/// How far off the window on the runner's clock may be, as a share of its length.
pub const CLOCK_ERROR: f64 = 0.05;
/// Kinds of failure that mean a wrong answer: another service than the ordered one was measured.
pub const BODY_KINDS: [&str; 3] = ["wrong-body", "wrong-length", "trailing-bytes"];
/// Kinds of failure that lie with the generator and say nothing of the service.
pub const OWN_KINDS: [&str; 3] = ["fd-exhausted", "address-exhausted", "cancelled"];
