//! The checked experiment: every value is typed, and no text remains to be parsed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use analysis::store::{ExperimentRecord, LoadRecord, PlatformRecord, Skip, WorkloadRecord};
use protocol::ids::Name;
use protocol::load::LoadKind;
use protocol::spec::{PlatformSpec, Resources};

use super::host::{Band, HostNeeds};
use super::workloads::{Load, ServiceEntry, Workload, WorkloadKind};

/// The experiment that an `experiments.toml` describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Its name, which is that of its directory in `results/`.
    pub name: Name,
    /// The number of blocks, that is, trials per cell.
    pub iterations: u32,
    /// The seed of the order of trials and of Poisson arrivals.
    pub seed: u64,
    /// The order of trials.
    pub order: Order,
    /// The maximum number of attempts per trial.
    pub max_attempts: u32,
    /// The platform with which the others are compared; by default the first one.
    pub baseline: Name,
    /// The results directory, which contains `<experiment>/<run>/`.
    pub results: PathBuf,
    /// The controller's name, by which runners distinguish it from others.
    pub controller: Name,
    /// The host whose runner deploys the services.
    pub host: Name,
    /// The connection between controller and runners.
    pub kafka: Kafka,
    /// The platforms, in the order of the file.
    pub platforms: Vec<Platform>,
    /// The workloads, in the order of the file.
    pub workloads: Vec<Workload>,
    /// The loads, in the order of the file.
    pub loads: Vec<Load>,
    /// The loaders over which each load is split; empty: the controller generates the load itself.
    pub loaders: Vec<Name>,
    /// Cells that are left out.
    pub skips: Vec<Skip>,
    /// The limits of every service.
    pub resources: Resources,
    /// The sampling interval.
    pub sampling_interval: Duration,
    /// How long the whole host is measured just before the services of each trial start; zero: not at all.
    pub idle_window: Duration,
    /// How long each phase may take.
    pub deadlines: PhaseDeadlines,
    /// The requirements on the host at the start of the run.
    pub host_needs: HostNeeds,
    /// The limits within which the host must be before every trial.
    pub band: Band,
}

impl Experiment {
    /// Whether a cell is left out, explicitly or because the load does not suit the workload.
    #[must_use]
    pub fn skips(&self, platform: &Name, workload: &Workload, load: &Load) -> bool {
        let mut skips = self.skips.iter();
        let is_of_another_task = match (&workload.kind, &load.spec.kind) {
            (WorkloadKind::Service(task), LoadKind::Runs(runs)) => !task.is_run_by(runs),
            _ => false,
        };
        !load.spec.kind.supports(workload.kind.transport())
            || is_of_another_task
            || skips.any(|skip| skip.covers(platform, &workload.name, &load.name))
    }

    /// Every described service, with the index of its workload.
    #[must_use]
    pub fn described(&self) -> Vec<(usize, &ServiceEntry)> {
        let workloads = self.workloads.iter().enumerate();
        let services = workloads.filter_map(|(index, workload)| match &workload.kind {
            WorkloadKind::Service(service) => Some((index, service)),
            _ => None,
        });
        services
            .flat_map(|(index, service)| service.services().map(move |entry| (index, entry)))
            .collect()
    }

    /// Whether a load is applied to a workload on any platform.
    #[must_use]
    pub fn pairs(&self, workload: &Workload, load: &Load) -> bool {
        let mut platforms = self.platforms.iter();
        platforms.any(|platform| !self.skips(&platform.name, workload, load))
    }
}

/// The order of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Every block contains one trial of every cell, in seeded random order.
    RandomizedBlocks,
    /// All trials of a cell, then all of the next, as in older studies; drift of the host then looks like an effect.
    Batch,
}

/// The connection between controller and runners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// The broker.
    pub brokers: Brokers,
    /// Kafka topic prefix.
    pub prefix: String,
    /// Partitions of new topics.
    pub partitions: i32,
    /// Replication factor of new topics.
    pub replication: i32,
    /// Retention of new topics.
    pub retention: Duration,
    /// Options of librdkafka, passed on unchanged (`security.protocol`, `sasl.username`, ...).
    pub options: BTreeMap<String, String>,
    /// The file with the signing key.
    pub key_file: Option<PathBuf>,
}

/// The broker between controller and runners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// This project's broker in the controller's process.
    Embedded(EmbeddedBroker),
    /// Apache Kafka at these `host:port`, separated by commas.
    External(String),
}

/// The broker in the controller's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedBroker {
    /// The address on which it listens; by default `127.0.0.1:9092`.
    pub listen: SocketAddr,
    /// The `host:port` that it advertises to clients; by default the address on which it listens.
    pub advertise: Option<String>,
    /// Its data directory; by default `<results>/.broker`.
    pub data: PathBuf,
}

/// A platform of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Its name in cells and reports; by default its kind.
    pub name: Name,
    /// What it is.
    pub spec: PlatformSpec,
    /// `true`: left out with a note if unavailable; `false`: the run is refused.
    pub optional: bool,
}

/// How long each phase may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseDeadlines {
    /// How long the runner may be unavailable when the run begins, and after an attempt during which it stopped responding.
    pub runner: Duration,
    /// From the first RUN to ACCEPTED, and any other answer that involves no work.
    pub answer: Duration,
    /// Building an image.
    pub prepare: Duration,
    /// From the start of the services to their first correct replies.
    pub ready: Duration,
    /// Seeding the services before READY.
    pub seed: Duration,
    /// A runner that has not heard from its controller for this long ends the trial.
    pub lease: Duration,
    /// From SIGTERM to SIGKILL of a service.
    pub grace: Duration,
}

/// The part of it that reports need, without secrets.
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
        WorkloadKind::Service(service) => service.summary(),
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
