//! What every driver can do, and what it is given.

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use protocol::facts::PlatformFacts;
use protocol::ids::{AttemptId, Name};
use protocol::spec::{PlatformSpec, Resources};

use crate::deployment::Deployment;
use crate::error::DeployError;
use crate::network::bridge::Bridge;
use crate::service::Service;

/// What the drivers of a runner know about its host.
#[derive(Clone, Debug)]
pub struct Host {
    /// The runner's name, which is part of the mark on everything it creates. Two runners on one host need different names.
    pub runner: Name,
    /// The address by which the controller reaches this host.
    pub address: IpAddr,
    /// The `workload` program; it must be static to run in containers and guests.
    pub workload: PathBuf,
    /// Where drivers keep images and caches.
    pub state: PathBuf,
}

/// A deployment to start.
#[derive(Clone, Debug)]
pub struct DeploymentSpec {
    /// The attempt that it is for.
    pub attempt: AttemptId,
    /// The platform that the services run on.
    pub platform: PlatformSpec,
    /// The services, in start order.
    pub services: Vec<Service>,
    /// The limits of each service.
    pub resources: Resources,
    /// The directory of the services' output: `<logs>/<service>.log`.
    pub logs: PathBuf,
    /// How long a service may take to stop before it is killed.
    pub grace: Duration,
}

/// How services on a platform with a network of its own reach their host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostGateway {
    /// The address on which the host must listen.
    pub bind: IpAddr,
    /// The address by which the services reach the host.
    pub seen: IpAddr,
}

impl HostGateway {
    /// With the host's address on the runner's bridge, which is created if necessary.
    ///
    /// # Errors
    /// See [`DeployError`].
    pub(crate) fn on_bridge(runner: &Name) -> Result<Self, DeployError> {
        let address = Bridge::of(runner).host()?.into();
        Ok(Self {
            bind: address,
            seen: address,
        })
    }
}

/// A driver for one kind of platform.
pub trait Driver: Send + Sync {
    /// Checks whether the platform can be used on this host now, and reports versions; an unmet need comes with a remedy. Changes nothing.
    fn probe(&self) -> impl Future<Output = PlatformFacts> + Send;

    /// How services on the platform reach their host, set up if necessary; `None`: they are processes of the host.
    ///
    /// # Errors
    /// See [`DeployError`].
    fn host_gateway(&self) -> impl Future<Output = Result<Option<HostGateway>, DeployError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Does what takes long and need not be part of the timed start, such as building an image. Repeating it is cheap.
    ///
    /// # Errors
    /// See [`DeployError`].
    fn prepare(&self, spec: &DeploymentSpec) -> impl Future<Output = Result<(), DeployError>> + Send;

    /// Starts all services. On an error, or if the future is dropped, everything that was started is removed.
    ///
    /// # Errors
    /// See [`DeployError`].
    fn start(&self, spec: &DeploymentSpec) -> impl Future<Output = Result<Deployment, DeployError>> + Send;

    /// Removes everything that carries this runner's mark, and returns a line for each thing. For the start of a runner, when all of it is left over from a
    /// previous instance.
    ///
    /// # Errors
    /// See [`DeployError`].
    fn sweep(&self) -> impl Future<Output = Result<Vec<String>, DeployError>> + Send;
}
