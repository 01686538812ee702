//! The workloads and loads of a checked experiment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::ids::Name;
use protocol::load::{JungMix, LoadSpec, RunsLoad, Transport};
use protocol::spec::{BrokerProgram, CpuSet, ServiceSource, ServiceSpec};

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
    /// Described services.
    Service(Box<ServiceWorkload>),
}

/// A load of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Its name in cells and reports.
    pub name: Name,
    /// What is ordered.
    pub spec: LoadSpec,
}

impl Load {
    /// The CPUs that its generator is pinned to; `None`: it is not.
    #[must_use]
    pub fn cpus(&self) -> Option<CpuSet> {
        CpuSet::of(self.spec.kind.cpus().to_vec())
    }
}

impl WorkloadKind {
    /// Its transport.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Tcp(_) | Self::Jung(_) => Transport::Http,
            Self::Udp(_) => Transport::Udp,
            Self::Service(service) => service.front.protocol,
        }
    }
}

/// Services of others: one, or several of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceWorkload {
    /// The first, which the load goes to.
    pub front: ServiceEntry,
    /// The others, in the file's order.
    pub others: Vec<ServiceEntry>,
    /// The runs of the first, if it is a task.
    pub runs: Option<RunsLoad>,
}

impl ServiceWorkload {
    /// All of them, in the file's order.
    pub fn services(&self) -> impl Iterator<Item = &ServiceEntry> {
        std::iter::once(&self.front).chain(&self.others)
    }

    /// Whether a load is the runs of this task.
    #[must_use]
    pub fn is_run_by(&self, load: &RunsLoad) -> bool {
        // The generator's CPUs are set for all loads.
        let unpinned = RunsLoad {
            cpus: Vec::new(),
            ..load.clone()
        };
        self.runs.as_ref() == Some(&unpinned)
    }

    /// In a line for reports.
    #[must_use]
    pub fn summary(&self) -> String {
        let each: Vec<String> = self.services().map(ServiceEntry::summary).collect();
        each.join("; ")
    }
}

/// A described service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// What it speaks.
    pub protocol: Transport,
    /// Its name and its description.
    pub spec: ServiceSpec,
}

impl ServiceEntry {
    fn summary(&self) -> String {
        let beside = if self.spec.place.is_platform() {
            ""
        } else {
            ", beside the platform"
        };
        let what = match &self.spec.source {
            ServiceSource::Named(named) => {
                let set = named.parameters.iter().map(|(name, value)| format!(" {name}={value}"));
                format!(
                    "the target host's description {}{}",
                    named.description,
                    set.collect::<String>()
                )
            }
            ServiceSource::Inline(description) => match &description.native {
                Some(native) => format!("{}, as the experiment file describes it", native.program),
                None => "as the experiment file describes it".to_owned(),
            },
            ServiceSource::Workload(_) => "the workload program".to_owned(),
        };
        format!("{}: {what}{beside}", self.spec.name)
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

/// Fraga's IoT benchmark: eight services that talk only through Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JungWorkload {
    /// What is created before READY.
    pub amounts: Amounts,
    /// What each user asks for, in the thesis' order.
    pub mix: JungMix,
    /// Tasks under way at a time in each service; 1 waits for each result before the next task, as in the thesis.
    pub concurrency: u16,
    /// Partitions of task topics: so many instances can share the tasks of a service.
    pub partitions: u16,
    /// Instances of the services that have more than one.
    pub instances: BTreeMap<Service, u16>,
    /// Services that are processes of the target host, whatever the platform.
    pub beside: BTreeSet<Service>,
    /// The broker that the services talk through.
    pub kafka: ServicesKafka,
    /// The API gateway's port.
    pub port: u16,
    /// The device gateway's port, where the truth is read back.
    pub device_port: u16,
    /// How long a service waits for another.
    pub reply_timeout: Duration,
}

/// What is created before READY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// Users.
    pub users: u32,
    /// Devices of each.
    pub devices: u32,
    /// Rules of each device.
    pub rules: u32,
    /// First readings of each device.
    pub readings: u32,
}

/// The broker that services talk through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServicesKafka {
    /// One that the runner starts for each trial.
    Started {
        /// Which.
        program: BrokerProgram,
        /// Where processes of the target host reach it; others on the next port.
        port: u16,
    },
    /// One that runs, at these `address:port`, separated by commas.
    Running(String),
}

impl JungWorkload {
    /// How many instances of a service there are.
    #[must_use]
    pub fn instances_of(&self, service: Service) -> u16 {
        self.instances.get(&service).copied().unwrap_or(1)
    }

    /// In a line for reports.
    #[must_use]
    pub fn summary(&self) -> String {
        let Amounts {
            users, devices, rules, ..
        } = self.amounts;
        let beside: Vec<&str> = self.beside.iter().map(|service| service.name()).collect();
        let beside = match beside.as_slice() {
            [] => "nothing".to_owned(),
            names => names.join(", "),
        };
        format!(
            "Fraga's IoT benchmark, {users} users x {devices} devices x {rules} rules, {} tasks at a time; beside the platform: {beside}; {}",
            self.concurrency, self.kafka
        )
    }

    /// How many requests each user has on its list.
    #[must_use]
    pub fn requests_of_a_user(&self) -> u32 {
        self.mix.total()
    }
}

impl std::fmt::Display for ServicesKafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Started { program, .. } => match program {
                BrokerProgram::Own => f.write_str("over this project's broker"),
                BrokerProgram::Apache => f.write_str("over Apache Kafka"),
            },
            Self::Running(addresses) => write!(f, "over Kafka at {addresses}"),
        }
    }
}

/// One of the services of the thesis' figure 19.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Translates HTTP into tasks (section 4.1.1).
    ApiGateway,
    /// Says who may do what (4.1.2).
    AuthManager,
    /// Keeps users (4.1.3).
    UserRegistry,
    /// Keeps devices (4.1.4).
    DeviceRegistry,
    /// Keeps readings (4.1.5).
    DeviceMonitor,
    /// Sends commands to device gateways (4.1.6).
    DeviceCommander,
    /// Checks rules every second (4.1.7).
    RuleEngine,
    /// Simulates the devices (4.1.8).
    DeviceGateway,
}

impl Service {
    /// All of them, in the order of the thesis.
    pub const ALL: [Self; 8] = [
        Self::ApiGateway,
        Self::AuthManager,
        Self::UserRegistry,
        Self::DeviceRegistry,
        Self::DeviceMonitor,
        Self::DeviceCommander,
        Self::RuleEngine,
        Self::DeviceGateway,
    ];

    /// The name in options, messages and consumer groups.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiGateway => "api-gateway",
            Self::AuthManager => "auth-manager",
            Self::UserRegistry => "user-registry",
            Self::DeviceRegistry => "device-registry",
            Self::DeviceMonitor => "device-monitor",
            Self::DeviceCommander => "device-commander",
            Self::RuleEngine => "rule-engine",
            Self::DeviceGateway => "device-gateway",
        }
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
