//! The loads of a checked experiment.

use std::time::Duration;

use protocol::ids::Name;
use protocol::spec::CpuSet;

use super::workloads::Speech;
use crate::load::{Bounds, Limit, Wait};

/// A load of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Its name in cells and reports.
    pub name: Name,
    /// What it is.
    pub kind: LoadKind,
    /// Whether the threads of its generator sleep.
    pub wait: Wait,
}

impl Load {
    /// The CPUs that its generator is pinned to; `None`: it is not.
    #[must_use]
    pub fn cpus(&self) -> Option<CpuSet> {
        let cpus = self.kind.cpus().iter();
        CpuSet::of(cpus.filter_map(|&cpu| u32::try_from(cpu).ok()).collect())
    }

    /// Pins its generator, unless it says itself where it runs.
    pub(super) fn pin(&mut self, cpus: &CpuSet) {
        let own = match &mut self.kind {
            LoadKind::Rate(load) => &mut load.cpus,
            LoadKind::Ramp(load) => &mut load.cpus,
            LoadKind::Users(load) => &mut load.cpus,
            LoadKind::Max(load) => &mut load.cpus,
            LoadKind::Httperf(load) => &mut load.cpus,
            LoadKind::Jmeter(load) => &mut load.cpus,
            LoadKind::None(_) => return,
            LoadKind::Udp(load) => &mut load.cpus,
        };
        if own.is_empty() {
            own.extend(cpus.cpus().iter().map(|&cpu| cpu as usize));
        }
    }
}

/// The kinds of load.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Before the measured window.
    pub warm_up: Duration,
    /// The measured window; the longest it may be where the load ends by itself.
    pub duration: Duration,
    /// After which a request has failed.
    pub timeout: Duration,
}

/// Open loop at a constant rate.
#[derive(Clone, Debug, PartialEq)]
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
    pub cpus: Vec<usize>,
}

/// Open loops one after another, in search of the highest rate that is sustained.
#[derive(Clone, Debug, PartialEq)]
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
    pub cpus: Vec<usize>,
}

/// Closed loop of users.
#[derive(Clone, Debug, PartialEq)]
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
    pub ramp_up: Duration,
    /// `true`: each user keeps its connection; `false`: one connection a request.
    pub keep_alive: bool,
    /// What they ask for.
    pub mix: Vec<MixPart>,
    /// The CPUs that the generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<usize>,
}

/// A list of calls for each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRequests {
    /// Calls of each user, warm-up included.
    pub each: u32,
    /// The first of them, which are not measured.
    pub warm_up: u32,
}

/// The pause of a user between a reply and its next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Think {
    /// Always the same; zero: none.
    Constant(Duration),
    /// Exponentially distributed with this mean, from the experiment's seed.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixPart {
    /// Path and query.
    pub path: String,
    /// What it is called in results.
    pub label: String,
    /// How often it comes, relative to the other parts.
    pub share: u32,
}

/// Closed loop as fast as it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxLoad {
    /// Connections.
    pub connections: u32,
    /// How long.
    pub timing: Timing,
    /// `true`: connections stay open; `false`: one connection a request.
    pub keep_alive: bool,
    /// The CPUs that the generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<usize>,
}

/// The real httperf: open loop by connection rate.
#[derive(Clone, Debug, PartialEq)]
pub struct HttperfLoad {
    /// Connections a second.
    pub rate_per_s: f64,
    /// How long; the warm-up is a run of its own.
    pub timing: Timing,
    /// Requests on each connection.
    pub calls: u32,
    /// The CPUs that it may use; empty: any.
    pub cpus: Vec<usize>,
}

/// The real Apache JMeter: closed loop of threads.
#[derive(Clone, Debug, PartialEq)]
pub struct JmeterLoad {
    /// Threads.
    pub users: u32,
    /// How long.
    pub timing: Timing,
    /// The pause of a thread after each reply.
    pub think: Duration,
    /// `true`: each thread keeps its connection.
    pub keep_alive: bool,
    /// The CPUs that it may use; empty: any.
    pub cpus: Vec<usize>,
}

/// No load: the services are started, left alone and stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLoad {
    /// How long they are left alone.
    pub timing: Timing,
}

/// A stream of packets.
#[derive(Clone, Debug, PartialEq)]
pub struct UdpLoad {
    /// How many are measured.
    pub packets: u64,
    /// The length of each, bytes.
    pub size: u32,
    /// The distance of two packets; zero only with a window: as fast as it goes.
    pub pace: Duration,
    /// Packets under way at most; `None`: an open loop.
    pub window: Option<u32>,
    /// How long the fastest pace without loss is looked for after the measured stream; `None`: not at all.
    pub search: Option<Duration>,
    /// How long; the window is the longest that the stream may take.
    pub timing: Timing,
    /// The CPUs that the generator's threads are pinned to; empty: not pinned.
    pub cpus: Vec<usize>,
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
    /// Whether it can be fired at a workload that speaks so; no load goes with all.
    #[must_use]
    pub fn goes_with(&self, speech: Speech) -> bool {
        match self {
            Self::None(_) => true,
            Self::Udp(_) => speech == Speech::Udp,
            _ => speech == Speech::Http,
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

    /// The CPUs that the generator is pinned to; empty: not pinned.
    #[must_use]
    pub fn cpus(&self) -> &[usize] {
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
}

/// When requests are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Equal distances.
    Uniform,
    /// Exponentially distributed distances, from the experiment's seed.
    Poisson,
}
