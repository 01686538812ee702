//! What a RUN deploys where and in which order, with the broker that its services use.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deploy::{AnyDriver, DeploymentSpec, Host, HostGateway, Program, Service, network};
use protocol::AttemptId;
use protocol::command::Run;
use protocol::spec::{
    BROKER, BrokerProgram, BrokerSpec, ConnectsProbe, CpuSet, NativeSpec, Place, PlatformSpec, Probe, Resources,
    Transport, WorkloadService,
};

use crate::services::Resolved;

/// The programs besides the workload that a runner can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// This project's broker.
    pub broker: PathBuf,
    /// The script that runs Apache Kafka.
    pub kafka: PathBuf,
}

impl Programs {
    /// The program of a broker.
    #[must_use]
    pub fn of(&self, program: BrokerProgram) -> &Path {
        match program {
            BrokerProgram::Own => &self.broker,
            BrokerProgram::Apache => &self.kafka,
        }
    }

    /// Why a broker cannot be started here; `None`: its program exists.
    #[must_use]
    pub fn missing(&self, program: BrokerProgram) -> Option<String> {
        let path = self.of(program);
        let remedy = match program {
            BrokerProgram::Own => {
                "build it (`cargo build --release -p broker`), or set the runner's key `broker` to its path"
            }
            BrokerProgram::Apache => "set the runner's key `apache_kafka` to the path of deploy/kafka/kafka.sh",
        };
        (!path.is_file()).then(|| {
            format!(
                "the program of the services' broker, {}, does not exist: {remedy}",
                path.display()
            )
        })
    }
}

/// A service of a RUN, resolved.
#[derive(Clone, Debug)]
pub(super) struct PlacedService {
    /// Where it runs.
    pub(super) place: Place,
    /// What it is.
    pub(super) resolved: Resolved,
}

/// A deployment and its driver.
#[derive(Debug)]
pub(super) struct PlannedDeployment {
    pub(super) driver: AnyDriver,
    pub(super) deployment: DeploymentSpec,
}

/// Plans the deployments of a RUN.
pub(super) struct Planner<'a> {
    pub(super) host: &'a Host,
    pub(super) programs: &'a Programs,
    pub(super) attempt: AttemptId,
    pub(super) logs: &'a Path,
    /// How the platform reaches the host.
    pub(super) gateway: Option<HostGateway>,
    /// The CPUs of services whose RUN names none.
    pub(super) free_cpus: Option<&'a CpuSet>,
}

impl Planner<'_> {
    /// The deployments in the order of their start: the broker, if there is one, then consecutive services at one place together.
    pub(super) fn plan(&self, run: &Run, services: &[PlacedService]) -> Vec<PlannedDeployment> {
        let broker = run.broker.as_ref().map(|broker| self.broker(broker, run));
        let groups = services.chunk_by(|one, next| one.place == next.place);
        broker
            .into_iter()
            .chain(groups.map(|group| self.services(group, run)))
            .collect()
    }

    fn broker(&self, spec: &BrokerSpec, run: &Run) -> PlannedDeployment {
        let service = self.broker_service(spec);
        let native = PlatformSpec::Native(NativeSpec {});
        let host = Host {
            workload: self.programs.of(spec.program).to_owned(),
            ..self.host.clone()
        };
        PlannedDeployment {
            driver: AnyDriver::for_platform(&native, &host),
            deployment: self.deployment(native, vec![service], run),
        }
    }

    /// The broker as a service. Both programs have the same options.
    fn broker_service(&self, spec: &BrokerSpec) -> Service {
        let mut args: Vec<String> = match spec.program {
            BrokerProgram::Own => vec!["--fsync".into(), "never".into()],
            BrokerProgram::Apache => vec!["run".into()],
        };
        let data = broker_data(self.host, self.attempt);
        args.extend([
            "--data".into(),
            data.display().to_string(),
            "--listen".into(),
            format!("{{listen}}={}", SocketAddr::from((self.host.address, spec.port))),
        ]);
        if let Some(gateway) = self.gateway {
            let advertised = from_platform(spec, gateway.seen);
            let listen = SocketAddr::from((gateway.bind, advertised.port()));
            args.extend(["--listen".into(), format!("{listen}={advertised}")]);
        }
        let workload = WorkloadService {
            args,
            port: Some(spec.port),
            ready: Probe::Connects(ConnectsProbe {}),
        };
        Service::workload(broker_name(), workload)
    }

    fn services(&self, group: &[PlacedService], run: &Run) -> PlannedDeployment {
        let platform = match group.first().map(|service| service.place) {
            Some(Place::Beside) => PlatformSpec::Native(NativeSpec {}),
            _ => run.platform.clone(),
        };
        let services = group.iter().map(|service| self.with_brokers(service, run)).collect();
        PlannedDeployment {
            driver: AnyDriver::for_platform(&platform, self.host),
            deployment: self.deployment(platform, services, run),
        }
    }

    /// A service with `{brokers}` in the arguments of the workload program replaced.
    fn with_brokers(&self, placed: &PlacedService, run: &Run) -> Service {
        let service = placed.resolved.service.clone();
        let (Some(broker), Program::Workload(args)) = (&run.broker, &service.program) else {
            return service;
        };
        let address = match (placed.place, self.gateway) {
            (Place::Platform, Some(gateway)) => from_platform(broker, gateway.seen),
            _ => SocketAddr::from((self.host.address, broker.port)),
        };
        let args = args.iter();
        let args = args.map(|arg| arg.replace("{brokers}", &address.to_string()));
        Service {
            program: Program::Workload(args.collect()),
            ..service
        }
    }

    fn deployment(&self, platform: PlatformSpec, services: Vec<Service>, run: &Run) -> DeploymentSpec {
        DeploymentSpec {
            attempt: self.attempt,
            platform,
            services,
            resources: Resources {
                cpuset: run.resources.cpuset.as_ref().or(self.free_cpus).cloned(),
                ..run.resources.clone()
            },
            logs: self.logs.to_owned(),
            grace: Duration::from_millis(run.deadlines.grace_ms),
        }
    }
}

/// The broker's address for services on a platform with a network of its own.
fn from_platform(spec: &BrokerSpec, host: IpAddr) -> SocketAddr {
    (host, spec.port.saturating_add(1)).into()
}

/// The broker's second port if it is still taken. It belongs to no service, so no driver verifies it.
pub(super) fn taken_broker_port(spec: &BrokerSpec, gateway: Option<HostGateway>) -> Option<String> {
    let gateway = gateway?;
    let listen = SocketAddr::from((gateway.bind, from_platform(spec, gateway.seen).port()));
    network::is_taken(Transport::Tcp, listen).then(|| format!("port {listen} of {BROKER}"))
}

/// The folder of the broker's files.
pub(super) fn broker_data(host: &Host, attempt: AttemptId) -> PathBuf {
    host.state.join("data").join(attempt.to_string())
}

#[expect(clippy::expect_used, reason = "the constant is a valid name")]
fn broker_name() -> protocol::Name {
    BROKER.parse().expect("a valid name")
}
