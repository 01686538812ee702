//! The checked experiment: everything is a choice already made, nothing is a text still to be understood.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use analysis::store::{ExperimentRecord, LoadRecord, PlatformRecord, Skip, WorkloadRecord};
use protocol::ids::Name;
use protocol::spec::{PlatformSpec, Resources};

use super::host::{Band, HostNeeds};
use super::workloads::{Load, Workload, WorkloadKind};

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
    /// The loaders that fire together; empty: the controller fires the load itself.
    pub loaders: Vec<Name>,
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
        !load.spec.kind.supports(workload.kind.transport())
            || skips.any(|skip| skip.covers(platform, &workload.name, &load.name))
    }

    /// Whether a load is fired at a workload on any platform.
    #[must_use]
    pub fn pairs(&self, workload: &Workload, load: &Load) -> bool {
        let mut platforms = self.platforms.iter();
        platforms.any(|platform| !self.skips(&platform.name, workload, load))
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

/// What reports need, and nothing that could be a secret.
impl From<&Experiment> for ExperimentRecord {
    fn from(experiment: &Experiment) -> Self {
        let platforms = experiment.platforms.iter().map(|platform| PlatformRecord {
            name: platform.name.clone(),
            spec: platform.spec.clone(),
        });
        let loads = experiment.loads.iter().map(|load| LoadRecord {
            name: load.name.clone(),
            spec: load.spec.without_secrets(),
        });
        Self {
            name: experiment.name.clone(),
            iterations: experiment.iterations,
            seed: experiment.seed,
            order: match experiment.order {
                Order::RandomizedBlocks => "randomized-blocks",
                Order::Batch => "batch",
            }
            .to_owned(),
            max_attempts: experiment.max_attempts,
            baseline: experiment.baseline.clone(),
            platforms: platforms.collect(),
            workloads: experiment.workloads.iter().map(record).collect(),
            loads: loads.collect(),
            skips: experiment.skips.clone(),
            resources: experiment.resources.clone(),
            sampling_interval_ms: u64::try_from(experiment.sampling_interval.as_millis()).unwrap_or(u64::MAX),
            loaders: experiment.loaders.clone(),
        }
    }
}

fn record(workload: &Workload) -> WorkloadRecord {
    let what = match &workload.kind {
        WorkloadKind::Tcp(tcp) => format!("HTTP/1.1 over TCP, {} bytes a reply", tcp.reply_bytes),
        WorkloadKind::Jung(jung) => jung.summary(),
        WorkloadKind::Udp(udp) => match udp.letters {
            Some(letters) => format!("UDP, {letters} letters and the packet's number a reply"),
            None => "UDP, an echo".to_owned(),
        },
    };
    WorkloadRecord {
        name: workload.name.clone(),
        what,
        transport: workload.kind.transport(),
    }
}
