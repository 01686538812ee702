//! An enum over the drivers.

use protocol::facts::PlatformFacts;
use protocol::spec::{DockerSpec, Engine, FakeSpec, PlatformSpec};

use crate::deployment::Deployment;
use crate::docker::Docker;
use crate::driver::{DeploymentSpec, Driver, Host, HostGateway};
use crate::error::DeployError;
use crate::fake::Fake;
use crate::hypervisor::GuestDriver;
use crate::lxc::Lxc;
use crate::native::Native;

/// Any driver.
#[derive(Debug)]
pub enum AnyDriver {
    /// Processes of the host.
    Native(Native),
    /// Containers of a Docker-compatible engine.
    Docker(Box<Docker>),
    /// LXC containers.
    Lxc(Box<Lxc>),
    /// Guests of a hypervisor.
    Guest(Box<GuestDriver>),
    /// The fake for tests.
    Fake(Fake),
}

impl AnyDriver {
    /// The driver for a platform.
    #[must_use]
    pub fn for_platform(spec: &PlatformSpec, host: &Host) -> Self {
        match spec {
            PlatformSpec::Native(_) => Self::Native(Native::new(host)),
            PlatformSpec::Docker(spec) => Self::Docker(Box::new(Docker::new(spec, host))),
            PlatformSpec::Lxc(_) => Self::Lxc(Box::new(Lxc::new(host))),
            PlatformSpec::Osv(guest)
            | PlatformSpec::Includeos(guest)
            | PlatformSpec::LinuxVm(guest)
            | PlatformSpec::Guest(guest) => Self::Guest(Box::new(GuestDriver::new(spec.kind(), guest, host))),
            PlatformSpec::Fake(spec) => Self::Fake(Fake::new(spec)),
        }
    }

    /// One driver of every kind, for sweeping.
    #[must_use]
    pub fn all(host: &Host) -> Vec<Self> {
        let podman = DockerSpec {
            engine: Engine::Podman,
            ..DockerSpec::default()
        };
        vec![
            Self::Native(Native::new(host)),
            Self::Docker(Box::new(Docker::new(&DockerSpec::default(), host))),
            Self::Docker(Box::new(Docker::new(&podman, host))),
            Self::Lxc(Box::new(Lxc::new(host))),
            Self::Guest(Box::new(GuestDriver::to_sweep(host))),
            Self::Fake(Fake::new(&FakeSpec::default())),
        ]
    }
}

/// Evaluates an expression with `$driver` bound to the driver inside.
macro_rules! delegate {
    ($any:expr, $driver:ident => $call:expr) => {
        match $any {
            Self::Native($driver) => $call,
            Self::Docker($driver) => $call,
            Self::Lxc($driver) => $call,
            Self::Guest($driver) => $call,
            Self::Fake($driver) => $call,
        }
    };
}

impl Driver for AnyDriver {
    async fn probe(&self) -> PlatformFacts {
        delegate!(self, driver => driver.probe().await)
    }

    async fn host_gateway(&self) -> Result<Option<HostGateway>, DeployError> {
        delegate!(self, driver => driver.host_gateway().await)
    }

    async fn prepare(&self, spec: &DeploymentSpec) -> Result<(), DeployError> {
        delegate!(self, driver => driver.prepare(spec).await)
    }

    async fn start(&self, spec: &DeploymentSpec) -> Result<Deployment, DeployError> {
        delegate!(self, driver => driver.start(spec).await)
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        delegate!(self, driver => driver.sweep().await)
    }
}
