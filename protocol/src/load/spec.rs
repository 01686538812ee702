//! The load that an experiment orders: one type for the checked configuration, PREPARE, and the record in the results.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::CpuSet;

/// A load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    /// What is sent, and when.
    pub kind: LoadKind,
    /// Whether the generator's threads sleep while there is nothing to do.
    #[serde(default)]
    pub wait: Wait,
}

impl LoadSpec {
    /// Pins its generator, unless the load itself names CPUs.
    pub fn pin(&mut self, cpus: &CpuSet) {
        if self.kind.cpus().is_empty() {
            self.kind.set_cpus(cpus);
        }
    }
}

/// Whether a thread of the generator sleeps while there is nothing to do.
///
/// A reply that comes to a sleeping thread waits for the kernel to wake it, which counts as response time: some microseconds on an awake CPU, tens of
/// them on one that an idle state has slowed down, hundreds in a virtual machine whose CPU was given back to its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// It sleeps, but not just before a request is due.
    #[default]
    Sleep,
    /// It never sleeps: it watches the clock and its sockets, and needs a CPU of its own.
    Spin,
}

impl Wait {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Spin => "spin",
        }
    }
}

/// The transport that a load uses and a workload serves: only where they agree they make a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// HTTP/1.1.
    #[default]
    Http,
    /// Numbered packets of UDP.
    Udp,
}

/// The kinds of load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadKind {
    /// Open loop at a constant rate.
    Rate(RateLoad),
    /// Open loops one after another, in search of the highest rate that is sustained.
    Ramp(RampLoad),
    /// Closed loop of users.
    Users(UsersLoad),
    /// Closed loop as fast as so many connections go.
    Max(MaxLoad),
    /// The real httperf.
    Httperf(HttperfLoad),
    /// The real Apache JMeter.
    Jmeter(JmeterLoad),
    /// No load at all.
    None(NoLoad),
    /// A stream of packets.
    Udp(UdpLoad),
}

/// What every load has of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Before the measured window.
    #[serde(rename = "warm_up_ns", with = "super::ns")]
    pub warm_up: Duration,
    /// The measured window; the longest it may be where the load ends by itself.
    #[serde(rename = "duration_ns", with = "super::ns")]
    pub duration: Duration,
    /// After which a request has failed.
    #[serde(rename = "timeout_ns", with = "super::ns")]
    pub timeout: Duration,
}

/// Open loop at a constant rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLoad {
    /// Requests a second.
    pub rate_per_s: f64,
    /// How long.
    pub timing: Timing,
    /// When requests are due.
    pub arrivals: Arrivals,
    /// `true`: a pool of connections that stay open; `false`: one connection a request.
    pub keep_alive: bool,
    /// The CPUs that the generator's thread is pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

/// Open loops one after another, in search of the highest rate that is sustained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RampLoad {
    /// The rates, requests a second.
    pub bounds: Bounds,
    /// When a rate counts as sustained.
    pub limit: Limit,
    /// Warm-up and window of each step and of the last window.
    pub step: Timing,
    /// The whole search, before the last window, and that window.
    pub timing: Timing,
    /// When requests are due.
    pub arrivals: Arrivals,
    /// `true`: a pool of connections that stay open; `false`: one connection a request.
    pub keep_alive: bool,
    /// The CPUs that the generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

/// The rates that a search tries, and how closely it brackets the result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The first rate, requests a second.
    pub from: f64,
    /// The last one.
    pub to: f64,
    /// The distance of two steps.
    pub step: f64,
    /// The bisection ends when the bracket is this share of its upper end.
    pub resolution: f64,
    /// How often both ends of the bracket are tried again.
    pub repeats: u32,
}

impl Bounds {
    /// The most rates that a search asks for.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small positive numbers"
    )]
    pub fn most(&self) -> u32 {
        let climb = ((self.to - self.from) / self.step).ceil() as u32 + 1;
        let halvings = (self.step / (self.resolution * self.from)).log2().ceil().max(0.0) as u32;
        climb + halvings + 2 * self.repeats
    }
}

/// What a rate must keep to count as sustained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The share of requests that may fail, 0 to 1.
    pub errors: f64,
    /// The response time that may not be exceeded.
    #[serde(rename = "response_ns", with = "super::ns::option")]
    pub response: Option<Duration>,
    /// At this quantile.
    pub quantile: f64,
}

/// Closed loop of users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersLoad {
    /// How many.
    pub users: u32,
    /// How long.
    pub timing: Timing,
    /// The calls of each user; `None`: as many as fit into the window.
    pub requests: Option<UserRequests>,
    /// The pause between a reply and the next call.
    pub think: Think,
    /// The users begin spread over this time.
    #[serde(rename = "ramp_up_ns", with = "super::ns")]
    pub ramp_up: Duration,
    /// `true`: each user keeps its connection; `false`: one connection a request.
    pub keep_alive: bool,
    /// What they ask for.
    pub mix: Vec<MixPart>,
    /// The CPUs that the generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

/// A list of calls for each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRequests {
    /// Calls of each user, warm-up included.
    pub each: u32,
    /// The first of them, which are not measured.
    pub warm_up: u32,
}

/// The pause of a user between a reply and its next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Think {
    /// Always the same; zero: none.
    #[serde(rename = "constant_ns", with = "super::ns")]
    Constant(Duration),
    /// Exponentially distributed with this mean, from the experiment's seed.
    #[serde(rename = "exponential_ns", with = "super::ns")]
    Exponential(Duration),
}

impl Think {
    /// The pause, or its mean.
    #[must_use]
    pub const fn mean(self) -> Duration {
        match self {
            Self::Constant(mean) | Self::Exponential(mean) => mean,
        }
    }
}

/// A part of what users ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixPart {
    /// Path and query.
    pub path: String,
    /// What it is called in results.
    pub label: String,
    /// How often it comes, relative to the other parts.
    pub share: u32,
}

/// Closed loop as fast as it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxLoad {
    /// Connections.
    pub connections: u32,
    /// How long.
    pub timing: Timing,
    /// `true`: connections stay open; `false`: one connection a request.
    pub keep_alive: bool,
    /// The CPUs that the generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

/// The real httperf: open loop by connection rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttperfLoad {
    /// Connections a second.
    pub rate_per_s: f64,
    /// How long; the warm-up is a run of its own.
    pub timing: Timing,
    /// Requests on each connection.
    pub calls: u32,
    /// The CPUs that it may use; empty: any.
    pub cpus: Vec<u32>,
}

/// The real Apache JMeter: closed loop of threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JmeterLoad {
    /// Threads.
    pub users: u32,
    /// How long.
    pub timing: Timing,
    /// The pause of a thread after each reply.
    #[serde(rename = "think_ns", with = "super::ns")]
    pub think: Duration,
    /// `true`: each thread keeps its connection.
    pub keep_alive: bool,
    /// The CPUs that it may use; empty: any.
    pub cpus: Vec<u32>,
}

/// No load: the services are started, left alone and stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoLoad {
    /// How long they are left alone.
    pub timing: Timing,
}

/// A stream of packets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpLoad {
    /// How many are measured.
    pub packets: u64,
    /// The length of each, bytes.
    pub size: u32,
    /// The distance of two packets; zero only with a window: as fast as it goes.
    #[serde(rename = "pace_ns", with = "super::ns")]
    pub pace: Duration,
    /// Packets under way at most; `None`: an open loop.
    pub window: Option<u32>,
    /// How long the fastest pace without loss is looked for after the measured stream; `None`: not at all.
    #[serde(rename = "search_ns", with = "super::ns::option")]
    pub search: Option<Duration>,
    /// How long; the window is the longest that the stream may take.
    pub timing: Timing,
    /// The CPUs that the generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

impl UdpLoad {
    /// How long the measured stream takes if nothing is lost, about.
    #[must_use]
    pub fn expected(&self) -> Duration {
        // As fast as it goes is some microseconds a packet.
        let pace = self.pace.max(Duration::from_micros(5));
        Duration::from_secs_f64(pace.as_secs_f64() * self.packets as f64)
    }
}

impl LoadKind {
    /// Whether it can be fired at a workload of this transport; no load goes with all.
    #[must_use]
    pub fn goes_with(&self, transport: Transport) -> bool {
        match self {
            Self::None(_) => true,
            Self::Udp(_) => transport == Transport::Udp,
            _ => transport == Transport::Http,
        }
    }

    /// How long it takes.
    #[must_use]
    pub const fn timing(&self) -> &Timing {
        match self {
            Self::Rate(load) => &load.timing,
            Self::Ramp(load) => &load.timing,
            Self::Users(load) => &load.timing,
            Self::Max(load) => &load.timing,
            Self::Httperf(load) => &load.timing,
            Self::Jmeter(load) => &load.timing,
            Self::None(load) => &load.timing,
            Self::Udp(load) => &load.timing,
        }
    }

    /// Warm-up, measurement window and time-out of what is reported; of a search, those of its last step.
    #[must_use]
    pub const fn measured(&self) -> &Timing {
        match self {
            Self::Ramp(load) => &load.step,
            _ => self.timing(),
        }
    }

    /// Whether connections serve several requests.
    #[must_use]
    pub const fn keeps_alive(&self) -> bool {
        match self {
            Self::Rate(load) => load.keep_alive,
            Self::Ramp(load) => load.keep_alive,
            Self::Users(load) => load.keep_alive,
            Self::Max(load) => load.keep_alive,
            Self::Httperf(load) => load.calls > 1,
            Self::Jmeter(load) => load.keep_alive,
            Self::None(_) | Self::Udp(_) => false,
        }
    }

    /// Whether replies decide when the next request is due.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        match self {
            Self::Users(_) | Self::Max(_) | Self::Jmeter(_) => true,
            Self::Udp(udp) => udp.window.is_some(),
            Self::Rate(_) | Self::Ramp(_) | Self::Httperf(_) | Self::None(_) => false,
        }
    }

    /// Whether it can be split over several load generators.
    #[must_use]
    pub const fn is_divisible(&self) -> bool {
        match self {
            Self::Rate(_) | Self::Users(_) | Self::Max(_) => true,
            Self::Udp(udp) => udp.search.is_none(),
            Self::Ramp(_) | Self::Httperf(_) | Self::Jmeter(_) | Self::None(_) => false,
        }
    }

    /// How many requests are scheduled in the measurement window, where the load fixes that exactly.
    #[must_use]
    pub fn due(&self) -> Option<f64> {
        match self {
            Self::Rate(rate) if rate.arrivals != Arrivals::Poisson => {
                Some(rate.rate_per_s * (rate.timing.duration.as_nanos() as f64) / 1e9)
            }
            Self::None(_) => Some(0.0),
            Self::Udp(udp) => Some(udp.packets as f64),
            _ => None,
        }
    }

    /// The CPUs that the generator is pinned to; empty: not pinned.
    #[must_use]
    pub fn cpus(&self) -> &[u32] {
        match self {
            Self::Rate(load) => &load.cpus,
            Self::Ramp(load) => &load.cpus,
            Self::Users(load) => &load.cpus,
            Self::Max(load) => &load.cpus,
            Self::Httperf(load) => &load.cpus,
            Self::Jmeter(load) => &load.cpus,
            Self::None(_) => &[],
            Self::Udp(load) => &load.cpus,
        }
    }

    /// Pins the generator to these CPUs; a load without one has none to pin.
    pub fn set_cpus(&mut self, cpus: &CpuSet) {
        let own = match self {
            Self::Rate(load) => &mut load.cpus,
            Self::Ramp(load) => &mut load.cpus,
            Self::Users(load) => &mut load.cpus,
            Self::Max(load) => &mut load.cpus,
            Self::Httperf(load) => &mut load.cpus,
            Self::Jmeter(load) => &mut load.cpus,
            Self::None(_) => return,
            Self::Udp(load) => &mut load.cpus,
        };
        cpus.cpus().clone_into(own);
    }
}

/// When requests are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Equal distances.
    Uniform,
    /// Equal distances, and each request later by a random time from zero to this, from the experiment's seed; at most the distance of two
    /// requests, so that they keep their order.
    #[serde(rename = "jitter_ns", with = "super::ns")]
    Jittered(Duration),
    /// Exponentially distributed distances, from the experiment's seed.
    Poisson,
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("evenly spaced"),
            Self::Jittered(jitter) => write!(f, "evenly spaced with up to {jitter:?} of jitter"),
            Self::Poisson => f.write_str("Poisson arrivals"),
        }
    }
}
