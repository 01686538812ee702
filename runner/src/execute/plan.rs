//! What a RUN deploys where and in which order, with the broker that its services use.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deploy::{AnyDriver, DeploymentSpec, Host, HostGateway, Program, Service, network};
use protocol::command::Run;
use protocol::event::Endpoint;
use protocol::spec::{
    BROKER, BrokerProgram, BrokerSpec, ConnectsProbe, CpuSet, NativeSpec, Place, PlatformSpec, Probe, Resources,
    Transport, WorkloadService,
};
use protocol::{AttemptId, Name};

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

impl PlacedService {
    /// Whether it needs the address of a service that must run before.
    fn needs_addresses(&self) -> bool {
        let described = self.resolved.service.description();
        described.is_some_and(|described| described.needs().next().is_some())
    }
}

/// Whether a service needs the address of another.
pub(super) fn need_addresses(services: &[PlacedService]) -> bool {
    services.iter().any(PlacedService::needs_addresses)
}

/// Every service whose address is needed by one that is not started after it.
pub(super) fn address_problems(services: &[PlacedService]) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, placed) in services.iter().enumerate() {
        let service = &placed.resolved.service;
        for needed in service.description().iter().flat_map(|described| described.needs()) {
            if !services[..index]
                .iter()
                .any(|before| before.resolved.service.name == *needed)
            {
                problems.push(format!(
                    "service {} needs the address of {needed}, which is not started before",
                    service.name
                ));
            }
        }
    }
    problems
}

/// A deployment and its driver.
#[derive(Debug)]
pub(super) struct PlannedDeployment {
    pub(super) driver: AnyDriver,
    pub(super) deployment: DeploymentSpec,
    /// Where it runs.
    pub(super) place: Place,
    /// Whether it can be prepared only when other services run.
    pub(super) needs_addresses: bool,
}

impl PlannedDeployment {
    /// Fills in the addresses of services that run, as the services here reach them.
    ///
    /// # Errors
    /// A service that does not listen, or that they cannot reach.
    pub(super) fn with_addresses(
        mut self,
        running: &[Endpoint],
        (beside, gateway): (&BTreeSet<Name>, Option<HostGateway>),
    ) -> Result<Self, String> {
        let address = |name: &Name| {
            let endpoint = running.iter().find(|endpoint| endpoint.service == *name)?;
            let address = endpoint.address;
            match gateway.filter(|_| self.place.is_platform()) {
                Some(gateway) if beside.contains(name) => Some(SocketAddr::from((gateway.seen, address.port()))),
                // A port that the host forwards.
                Some(_) if address.ip().is_loopback() => None,
                _ => Some(address),
            }
        };
        for service in &mut self.deployment.services {
            if let Program::Described(described) = &service.program {
                let known = described.with_addresses(address).map_err(|name| {
                    format!(
                        "service {} cannot reach {name}, whose address it needs: it does not listen, or only on a port that the host forwards (leave publish = true and network = \"user\" out)",
                        service.name
                    )
                })?;
                service.program = Program::Described(Arc::new(known));
            }
        }
        Ok(self)
    }
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
        let groups = services.chunk_by(|one, next| one.place == next.place && !next.needs_addresses());
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
            place: Place::Beside,
            needs_addresses: false,
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
        let place = group.first().map_or(Place::Platform, |service| service.place);
        let (platform, host) = match (place, self.gateway) {
            (Place::Platform, _) => (run.platform.clone(), self.host.clone()),
            // Where services on the platform reach it.
            (Place::Beside, Some(gateway)) if run.broker.is_none() => (
                PlatformSpec::Native(NativeSpec {}),
                Host {
                    address: gateway.bind,
                    ..self.host.clone()
                },
            ),
            (Place::Beside, _) => (PlatformSpec::Native(NativeSpec {}), self.host.clone()),
        };
        let services = group.iter().map(|service| self.with_brokers(service, run)).collect();
        PlannedDeployment {
            driver: AnyDriver::for_platform(&platform, &host),
            deployment: self.deployment(platform, services, run),
            place,
            needs_addresses: need_addresses(group),
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
