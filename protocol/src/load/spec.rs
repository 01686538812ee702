//! Load specifications: one type for the checked configuration, PREPARE, and the results.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::CommandLoad;
use super::http::HttpRequests;
use super::runs::RunsLoad;
use crate::spec::CpuSet;

/// A load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    /// What is sent and when.
    pub kind: LoadKind,
    /// Whether the load generator's threads sleep while idle.
    #[serde(default)]
    pub wait: Wait,
    /// Whether CPUs are kept from sleeping while the load runs.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub keep_awake: bool,
    /// The requests of a load of HTTP requests.
    #[serde(default, skip_serializing_if = "HttpRequests::is_plain")]
    pub http: HttpRequests,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_yes(value: &bool) -> bool {
    *value
}

impl LoadSpec {
    /// The same for results: see [`HttpRequests::without_secrets`].
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        Self {
            http: self.http.without_secrets(),
            ..self.clone()
        }
    }

    /// Pins the load generator, unless the load itself specifies CPUs.
    pub fn pin(&mut self, cpus: &CpuSet) {
        if self.kind.cpus().is_empty() {
            self.kind.set_cpus(cpus);
        }
    }
}

/// Whether a thread of the load generator sleeps while idle.
///
/// The wake-up of a sleeping thread counts as response time: microseconds on an active CPU, tens of microseconds from a deep idle state,
/// hundreds in a virtual machine whose vCPU was descheduled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// Sleeps, but wakes shortly before a request is due.
    #[default]
    Sleep,
    /// Busy-polls the clock and its sockets; needs a dedicated CPU.
    Spin,
}

impl Wait {
    /// Its name in configuration files and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Spin => "spin",
        }
    }
}

/// The transport of a load and of a workload: a cell needs both to be the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// HTTP/1.1.
    #[default]
    Http,
    /// Numbered UDP packets.
    Udp,
    /// Another protocol over TCP.
    Tcp,
    /// Nothing: the program is a task, which is run again and again.
    Task,
}

impl Transport {
    /// Its name in configuration files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Task => "task",
        }
    }

    /// Those of services.
    pub const OF_SERVICES: [Self; 3] = [Self::Http, Self::Udp, Self::Tcp];
}

/// The kinds of load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadKind {
    /// Open loop at a constant rate.
    Rate(RateLoad),
    /// Successive open loops that search for the highest sustained rate.
    Ramp(RampLoad),
    /// Closed loop of users.
    Users(UsersLoad),
    /// Closed loop at full speed over a number of connections.
    Max(MaxLoad),
    /// httperf.
    Httperf(HttperfLoad),
    /// Apache JMeter.
    Jmeter(JmeterLoad),
    /// A program of the user's.
    Command(Box<CommandLoad>),
    /// No load.
    None(NoLoad),
    /// A stream of UDP packets.
    Udp(UdpLoad),
    /// Runs of a task.
    Runs(RunsLoad),
}

/// Durations of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Warm-up before the measurement window.
    #[serde(rename = "warm_up_ns", with = "ns")]
    pub warm_up: Duration,
    /// The measurement window; a maximum if the load ends by itself.
    #[serde(rename = "duration_ns", with = "ns")]
    pub duration: Duration,
    /// The time-out of a request.
    #[serde(rename = "timeout_ns", with = "ns")]
    pub timeout: Duration,
}

/// Open loop at a constant rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLoad {
    /// Requests per second.
    pub rate_per_s: f64,
    /// Durations.
    pub timing: Timing,
    /// The arrival process.
    pub arrivals: Arrivals,
    /// `true`: a pool of persistent connections; `false`: one connection per request.
    pub keep_alive: bool,
    /// The CPUs that the load generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

/// Successive open loops that search for the highest sustained rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RampLoad {
    /// The range of rates.
    pub bounds: Bounds,
    /// The criterion for a sustained rate.
    pub limit: Limit,
    /// Warm-up and window of each step and of the final measurement.
    pub step: Timing,
    /// The search as warm-up, and the final measurement window.
    pub timing: Timing,
    /// The arrival process.
    pub arrivals: Arrivals,
    /// `true`: a pool of persistent connections; `false`: one connection per request.
    pub keep_alive: bool,
    /// The CPUs that the load generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

/// The rates of a search, and the precision of its result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The lowest rate, requests per second.
    pub from: f64,
    /// The highest rate.
    pub to: f64,
    /// The increment between steps.
    pub step: f64,
    /// Bisection ends when the width of the bracket is at most this fraction of its upper end.
    pub resolution: f64,
    /// How often both ends of the bracket are measured again.
    pub repeats: u32,
}

impl Bounds {
    /// Maximum number of steps of a search.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small positive numbers"
    )]
    pub fn max_steps(&self) -> u32 {
        let climb = ((self.to - self.from) / self.step).ceil() as u32 + 1;
        let halvings = (self.step / (self.resolution * self.from)).log2().ceil().max(0.0) as u32;
        climb + halvings + 2 * self.repeats
    }
}

/// The criterion for a sustained rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Maximum fraction of failed requests, 0 to 1.
    pub errors: f64,
    /// Maximum response time.
    #[serde(rename = "response_ns", with = "ns::option")]
    pub response: Option<Duration>,
    /// The quantile at which it applies.
    pub quantile: f64,
}

/// Closed loop of users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersLoad {
    /// Number of users.
    pub users: u32,
    /// Durations.
    pub timing: Timing,
    /// Requests of each user; `None`: as many as fit into the window.
    pub requests: Option<UserRequests>,
    /// Think time.
    pub think: Think,
    /// The users start evenly spread over this time.
    #[serde(rename = "ramp_up_ns", with = "ns")]
    pub ramp_up: Duration,
    /// `true`: each user keeps its connection; `false`: one connection per request.
    pub keep_alive: bool,
    /// The CPUs that the load generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

/// A fixed number of requests per user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRequests {
    /// Requests of each user, including warm-up.
    pub each: u32,
    /// The number of first requests that are warm-up.
    pub warm_up: u32,
}

/// The think time of a user between a reply and its next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Think {
    /// Constant; zero: none.
    #[serde(rename = "constant_ns", with = "ns")]
    Constant(Duration),
    /// Exponentially distributed with this mean, drawn from the experiment's seed.
    #[serde(rename = "exponential_ns", with = "ns")]
    Exponential(Duration),
}

impl Think {
    /// The mean think time.
    #[must_use]
    pub const fn mean(self) -> Duration {
        match self {
            Self::Constant(mean) | Self::Exponential(mean) => mean,
        }
    }
}

/// Closed loop at full speed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxLoad {
    /// Number of connections.
    pub connections: u32,
    /// Durations.
    pub timing: Timing,
    /// `true`: persistent connections; `false`: one connection per request.
    pub keep_alive: bool,
    /// The CPUs that the load generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

/// httperf: open loop with a fixed connection rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttperfLoad {
    /// Connections per second.
    pub rate_per_s: f64,
    /// Durations; the warm-up is a separate httperf run.
    pub timing: Timing,
    /// Requests per connection.
    pub calls: u32,
    /// Its CPU affinity; empty: any CPU.
    pub cpus: Vec<u32>,
}

/// Apache JMeter: closed loop of threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JmeterLoad {
    /// Number of threads.
    pub users: u32,
    /// Durations.
    pub timing: Timing,
    /// Think time after each reply.
    #[serde(rename = "think_ns", with = "ns")]
    pub think: Duration,
    /// `true`: each thread keeps its connection.
    pub keep_alive: bool,
    /// Its CPU affinity; empty: any CPU.
    pub cpus: Vec<u32>,
}

/// No load: the services are started, left idle and stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoLoad {
    /// Durations.
    pub timing: Timing,
}

/// A stream of UDP packets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpLoad {
    /// Number of measured packets.
    pub packets: u64,
    /// Payload size of each, bytes.
    pub size: u32,
    /// Interval between packets; zero, allowed only with a window: full speed.
    #[serde(rename = "pace_ns", with = "ns")]
    pub pace: Duration,
    /// Maximum number of outstanding packets; `None`: open loop.
    pub window: Option<u32>,
    /// Time budget of the search for the fastest lossless pace after the measured stream; `None`: no search.
    #[serde(rename = "search_ns", with = "ns::option")]
    pub search: Option<Duration>,
    /// Durations; the window is the maximum duration of the stream.
    pub timing: Timing,
    /// The CPUs that the load generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
}

impl UdpLoad {
    /// Approximate duration of the measured stream if no packet is lost.
    #[must_use]
    pub fn expected(&self) -> Duration {
        // Full speed is a few microseconds per packet.
        let pace = self.pace.max(Duration::from_micros(5));
        Duration::from_secs_f64(pace.as_secs_f64() * self.packets as f64)
    }
}

impl LoadKind {
    /// Whether the load can be used with a workload of this transport; `none` works with any.
    #[must_use]
    pub fn supports(&self, transport: Transport) -> bool {
        match self {
            Self::None(_) => true,
            Self::Runs(_) => transport == Transport::Task,
            Self::Command(command) => {
                transport != Transport::Task && command.transport.is_none_or(|own| own == transport)
            }
            Self::Udp(_) => transport == Transport::Udp,
            _ => transport == Transport::Http,
        }
    }

    /// Durations of the whole load.
    #[must_use]
    pub const fn timing(&self) -> &Timing {
        match self {
            Self::Rate(load) => &load.timing,
            Self::Ramp(load) => &load.timing,
            Self::Users(load) => &load.timing,
            Self::Max(load) => &load.timing,
            Self::Httperf(load) => &load.timing,
            Self::Jmeter(load) => &load.timing,
            Self::Command(load) => &load.timing,
            Self::None(load) => &load.timing,
            Self::Udp(load) => &load.timing,
            Self::Runs(load) => &load.timing,
        }
    }

    /// The longest time from the start of the load to its end.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let timing = self.timing();
        match self {
            Self::Command(load) => load.longest(),
            Self::Runs(load) => timing
                .timeout
                .saturating_mul(load.runs.saturating_add(load.warm_up_runs)),
            _ => timing.warm_up + timing.duration + timing.timeout,
        }
    }

    /// Durations of the reported measurement; for a search, those of its last step.
    #[must_use]
    pub const fn measured(&self) -> &Timing {
        match self {
            Self::Ramp(load) => &load.step,
            _ => self.timing(),
        }
    }

    /// Whether a connection carries more than one request.
    #[must_use]
    pub const fn keeps_alive(&self) -> bool {
        match self {
            Self::Rate(load) => load.keep_alive,
            Self::Ramp(load) => load.keep_alive,
            Self::Users(load) => load.keep_alive,
            Self::Max(load) => load.keep_alive,
            Self::Httperf(load) => load.calls > 1,
            Self::Jmeter(load) => load.keep_alive,
            Self::Command(_) | Self::None(_) | Self::Udp(_) | Self::Runs(_) => false,
        }
    }

    /// Whether our HTTP engines send it, so that [`LoadSpec::http`] applies.
    #[must_use]
    pub const fn is_http(&self) -> bool {
        matches!(self, Self::Rate(_) | Self::Ramp(_) | Self::Users(_) | Self::Max(_))
    }

    /// Whether the load is a closed loop.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        match self {
            Self::Users(_) | Self::Max(_) | Self::Jmeter(_) | Self::Runs(_) => true,
            Self::Udp(udp) => udp.window.is_some(),
            Self::Rate(_) | Self::Ramp(_) | Self::Httperf(_) | Self::Command(_) | Self::None(_) => false,
        }
    }

    /// Whether the load can be split over several loaders.
    #[must_use]
    pub const fn is_divisible(&self) -> bool {
        match self {
            Self::Rate(_) | Self::Users(_) | Self::Max(_) => true,
            Self::Udp(udp) => udp.search.is_none(),
            Self::Ramp(_) | Self::Httperf(_) | Self::Jmeter(_) | Self::Command(_) | Self::None(_) | Self::Runs(_) => {
                false
            }
        }
    }

    /// The number of requests scheduled in the measurement window, if the load determines it exactly.
    #[must_use]
    pub fn due(&self) -> Option<f64> {
        match self {
            Self::Rate(rate) if rate.arrivals != Arrivals::Poisson => {
                Some(rate.rate_per_s * (rate.timing.duration.as_nanos() as f64) / 1e9)
            }
            Self::None(_) => Some(0.0),
            Self::Udp(udp) => Some(udp.packets as f64),
            Self::Runs(load) => Some(load.runs.into()),
            _ => None,
        }
    }

    /// The CPUs that the load generator is pinned to; empty: not pinned.
    #[must_use]
    pub fn cpus(&self) -> &[u32] {
        match self {
            Self::Rate(load) => &load.cpus,
            Self::Ramp(load) => &load.cpus,
            Self::Users(load) => &load.cpus,
            Self::Max(load) => &load.cpus,
            Self::Httperf(load) => &load.cpus,
            Self::Jmeter(load) => &load.cpus,
            Self::Command(load) => &load.cpus,
            Self::None(_) => &[],
            Self::Udp(load) => &load.cpus,
            Self::Runs(load) => &load.cpus,
        }
    }

    /// Pins the load generator to these CPUs; no effect for `none`.
    pub fn set_cpus(&mut self, cpus: &CpuSet) {
        let own = match self {
            Self::Rate(load) => &mut load.cpus,
            Self::Ramp(load) => &mut load.cpus,
            Self::Users(load) => &mut load.cpus,
            Self::Max(load) => &mut load.cpus,
            Self::Httperf(load) => &mut load.cpus,
            Self::Jmeter(load) => &mut load.cpus,
            Self::Command(load) => &mut load.cpus,
            Self::None(_) => return,
            Self::Udp(load) => &mut load.cpus,
            Self::Runs(load) => &mut load.cpus,
        };
        cpus.cpus().clone_into(own);
    }
}

/// The arrival process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Constant interarrival times.
    Uniform,
    /// Constant interarrival times, and each request delayed by a random time from zero to this, drawn from the experiment's seed; at most one
    /// interarrival time, so that requests keep their order.
    #[serde(rename = "jitter_ns", with = "ns")]
    Jittered(Duration),
    /// Exponentially distributed interarrival times, drawn from the experiment's seed.
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

/// (De)serializes durations as whole nanoseconds.
pub(super) mod ns {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    fn whole(duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
    }

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        whole(*duration).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }

    /// The same for an `Option<Duration>`.
    pub mod option {
        use super::{Deserialize as _, Deserializer, Duration, Serialize as _, Serializer, whole};

        pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
            duration.map(whole).serialize(serializer)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_nanos))
        }
    }
}
