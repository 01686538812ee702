//! The checked experiment: everything is a choice already made, nothing is a text still to be understood.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::jung::JungWorkload;
use protocol::ids::Name;
use protocol::spec::{CpuSet, PlatformSpec, Resources};
use serde::{Deserialize, Serialize};

use super::host::{Band, HostNeeds};

use crate::load::{Bounds, Limit};

/// What one `experiments.toml` describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Its name, the folder in `results/`.
    pub name: Name,
    /// The number of blocks: trials of every cell.
    pub iterations: u32,
    /// The seed of the order of trials and of Poisson arrivals.
    pub seed: u64,
    /// The order of trials.
    pub order: Order,
    /// How often a trial is tried at most.
    pub max_attempts: u32,
    /// The platform that ratios are taken to; the first one if not said.
    pub baseline: Name,
    /// The folder that holds `<experiment>/<run>/`.
    pub results: PathBuf,
    /// The controller's own name, which runners hold against others.
    pub controller: Name,
    /// The host whose runner deploys the services.
    pub host: Name,
    /// How the controller and the runners talk.
    pub kafka: Kafka,
    /// The platforms, in the file's order.
    pub platforms: Vec<Platform>,
    /// The workloads, in the file's order.
    pub workloads: Vec<Workload>,
    /// The loads, in the file's order.
    pub loads: Vec<Load>,
    /// Cells that are left out.
    pub skips: Vec<Skip>,
    /// The limits that every service gets.
    pub resources: Resources,
    /// The distance of two samples.
    pub sampling_interval: Duration,
    /// How long the whole host is measured just before each trial's services start; zero: not at all.
    pub idle_window: Duration,
    /// How long each phase may take.
    pub deadlines: PhaseDeadlines,
    /// What the host must be like before the run begins.
    pub host_needs: HostNeeds,
    /// What it must be like again before every trial.
    pub band: Band,
}

impl Experiment {
    /// Whether a cell is left out, or is none since the load cannot be fired at the workload.
    #[must_use]
    pub fn skips(&self, platform: &Name, workload: &Workload, load: &Load) -> bool {
        let mut skips = self.skips.iter();
        !load.kind.goes_with(workload.kind.speech())
            || skips.any(|skip| skip.covers(platform, &workload.name, &load.name))
    }

    /// Whether a load is fired at a workload on any platform.
    #[must_use]
    pub fn pairs(&self, workload: &Workload, load: &Load) -> bool {
        let mut platforms = self.platforms.iter();
        platforms.any(|platform| !self.skips(&platform.name, workload, load))
    }
}

/// Cells that are left out: those that have every name that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The platform; `None`: any.
    pub platform: Option<Name>,
    /// The workload; `None`: any.
    pub workload: Option<Name>,
    /// The load; `None`: any.
    pub load: Option<Name>,
}

impl Skip {
    /// Whether a cell has every name that is given.
    #[must_use]
    pub fn covers(&self, platform: &Name, workload: &Name, load: &Name) -> bool {
        let fits = |given: &Option<Name>, name: &Name| given.as_ref().is_none_or(|given| given == name);
        fits(&self.platform, platform) && fits(&self.workload, workload) && fits(&self.load, load)
    }
}

/// The order of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Every block holds one trial of every cell, in seeded random order.
    RandomizedBlocks,
    /// All trials of a cell, then all of the next, as older studies do; drift of the host then looks like an effect.
    Batch,
}

/// How the controller and the runners talk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// Which broker.
    pub brokers: Brokers,
    /// Stands in front of every topic's name.
    pub prefix: String,
    /// Partitions of a topic that has to be made.
    pub partitions: i32,
    /// Replication factor of a topic that has to be made.
    pub replication: i32,
    /// How long a topic that has to be made keeps its messages.
    pub retention: Duration,
    /// Options of librdkafka, handed on as they are (`security.protocol`, `sasl.username`, ...).
    pub options: BTreeMap<String, String>,
    /// A file with the key that messages are signed with.
    pub key_file: Option<PathBuf>,
}

/// Which broker carries the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// One of our own inside the controller.
    Embedded(EmbeddedBroker),
    /// Apache Kafka at these `host:port`, separated by commas.
    External(String),
}

/// The broker inside the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedBroker {
    /// Where it listens; `127.0.0.1:9092` by default.
    pub listen: SocketAddr,
    /// What it tells clients to connect to, `host:port`; the address it listens on if not said.
    pub advertise: Option<String>,
    /// Where it keeps its files; `<results>/.broker` by default.
    pub data: PathBuf,
}

/// A platform of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Its name in cells and reports; the kind's word by default.
    pub name: Name,
    /// What it is.
    pub spec: PlatformSpec,
    /// `true`: left out with a loud line if its need is not met; `false`: the run is refused.
    pub optional: bool,
}

/// A workload of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its name in cells and reports; the kind's word by default.
    pub name: Name,
    /// What it is.
    pub kind: WorkloadKind,
}

/// The kinds of workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// Czipri's TCP service.
    Tcp(TcpWorkload),
    /// Fraga's IoT benchmark.
    Jung(Box<JungWorkload>),
    /// Czipri's UDP service.
    Udp(UdpWorkload),
}

/// What a workload and a load speak: only where it is the same they make a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speech {
    /// HTTP/1.1.
    #[default]
    Http,
    /// Numbered packets of UDP.
    Udp,
}

impl WorkloadKind {
    /// What it speaks.
    #[must_use]
    pub const fn speech(&self) -> Speech {
        match self {
            Self::Tcp(_) | Self::Jung(_) => Speech::Http,
            Self::Udp(_) => Speech::Udp,
        }
    }
}

/// A service that answers every packet with the same letters and the packet's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpWorkload {
    /// The port that it listens on.
    pub port: u16,
    /// How many letters a reply begins with; `None`: it answers with the packet itself.
    pub letters: Option<u32>,
    /// Sockets on the port, a thread each.
    pub sockets: u16,
    /// The receive buffer of each socket, bytes; `None`: the system's own.
    pub receive_buffer: Option<u32>,
}

/// A service that answers every HTTP request with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpWorkload {
    /// How many of the service are started at once, on ports in a row; the load goes to the first.
    pub copies: u16,
    /// The port that it listens on.
    pub port: u16,
    /// The length of the body, bytes.
    pub reply_bytes: u64,
}

/// A load of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Its name in cells and reports.
    pub name: Name,
    /// What it is.
    pub kind: LoadKind,
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

/// How long each phase may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseDeadlines {
    /// How long the runner may be away when the run begins, and after an attempt whose runner fell silent.
    pub runner: Duration,
    /// From the first RUN to ACCEPTED, and any other answer that takes no work.
    pub answer: Duration,
    /// Making the image.
    pub prepare: Duration,
    /// From the start to the first replies.
    pub ready: Duration,
    /// Filling the services before READY.
    pub seed: Duration,
    /// Without a word of the controller the runner ends the trial after this.
    pub lease: Duration,
    /// From asking a service to end to killing it.
    pub grace: Duration,
}
