//! What is deployed where, and in which order: from a RUN to one deployment a place.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use deploy::{AnyDriver, DeploymentSpec, Host, HostGateway};
use protocol::AttemptId;
use protocol::command::Run;
use protocol::spec::{CpuSet, NativeSpec, PlatformSpec, Resources, ServiceSpec};
use protocol::surroundings::{BrokerSpec, Place};

use super::broker::{self, Programs};

/// A deployment and who makes it.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) driver: AnyDriver,
    pub(super) deployment: DeploymentSpec,
}

/// Where the parts of a RUN are.
pub(super) struct Site<'a> {
    pub(super) host: &'a Host,
    pub(super) programs: &'a Programs,
    pub(super) attempt: AttemptId,
    pub(super) logs: &'a Path,
    /// How the platform reaches the host.
    pub(super) door: Option<HostGateway>,
    /// The CPUs of services that are not told theirs.
    pub(super) free_cpus: Option<&'a CpuSet>,
}

/// The deployments of a RUN in their order: the broker, if there is one, and then services in a row at one place together.
pub(super) fn batches(site: &Site<'_>, run: &Run) -> Vec<Batch> {
    let broker = run.broker.as_ref().map(|broker| site.broker(broker, run));
    let rows = run.services.chunk_by(|one, next| one.place == next.place);
    broker.into_iter().chain(rows.map(|row| site.row(row, run))).collect()
}

impl Site<'_> {
    fn broker(&self, spec: &BrokerSpec, run: &Run) -> Batch {
        let service = broker::service(spec, self);
        let native = PlatformSpec::Native(NativeSpec {});
        let host = Host {
            workload: self.programs.of(spec.program).to_owned(),
            ..self.host.clone()
        };
        Batch {
            driver: AnyDriver::for_platform(&native, &host),
            deployment: self.deployment(native, vec![service], run),
        }
    }

    fn row(&self, row: &[ServiceSpec], run: &Run) -> Batch {
        let platform = match row.first().map(|service| service.place) {
            Some(Place::Beside) => PlatformSpec::Native(NativeSpec {}),
            _ => run.platform.clone(),
        };
        let services = row.iter().map(|service| self.filled(service, run)).collect();
        Batch {
            driver: AnyDriver::for_platform(&platform, self.host),
            deployment: self.deployment(platform, services, run),
        }
    }

    /// A service whose arguments name the broker.
    fn filled(&self, service: &ServiceSpec, run: &Run) -> ServiceSpec {
        let Some(broker) = &run.broker else {
            return service.clone();
        };
        let address = match (service.place, self.door) {
            (Place::Platform, Some(door)) => broker::beyond(broker, door.seen),
            _ => SocketAddr::from((self.host.address, broker.port)),
        };
        let args = service.args.iter();
        let args = args.map(|arg| arg.replace("{brokers}", &address.to_string()));
        ServiceSpec {
            args: args.collect(),
            ..service.clone()
        }
    }

    fn deployment(&self, platform: PlatformSpec, services: Vec<ServiceSpec>, run: &Run) -> DeploymentSpec {
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
