//! The enums over the drivers.

use protocol::facts::PlatformFacts;
use protocol::ids::Name;
use protocol::spec::{DockerSpec, Engine, FakeSpec, PlatformSpec};
use protocol::summary::Exit;

use crate::accounts::{GuestAccount, Part};
use crate::docker::{Docker, DockerRunning};
use crate::fake::{Fake, FakeRunning};
use crate::lxc::{Lxc, LxcRunning};
use crate::meter::Meter;
use crate::native::{Native, NativeRunning};
use crate::qemu::{Qemu, QemuRunning};
use crate::{DeployError, Deployment, Door, Driver, Host, Processes, Running, Started, Stopped};

/// Any driver.
#[derive(Debug)]
pub enum AnyDriver {
    /// Processes of the host.
    Native(Native),
    /// Containers of a Docker engine.
    Docker(Box<Docker>),
    /// Containers of LXC.
    Lxc(Box<Lxc>),
    /// Guests under QEMU.
    Qemu(Box<Qemu>),
    /// The one that only pretends.
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
            | PlatformSpec::Guest(guest) => Self::Qemu(Box::new(Qemu::new(spec.kind(), guest, host))),
            PlatformSpec::Fake(spec) => Self::Fake(Fake::new(spec)),
        }
    }

    /// One driver of every kind, to sweep with.
    #[must_use]
    pub fn all(host: &Host) -> Vec<Self> {
        vec![
            Self::Native(Native::new(host)),
            Self::Docker(Box::new(Docker::new(&DockerSpec::default(), host))),
            Self::Docker(Box::new(Docker::new(
                &DockerSpec {
                    engine: Engine::Podman,
                    ..DockerSpec::default()
                },
                host,
            ))),
            Self::Lxc(Box::new(Lxc::new(host))),
            Self::Qemu(Box::new(Qemu::to_sweep(host))),
            Self::Fake(Fake::new(&FakeSpec::default())),
        ]
    }
}

impl Driver for AnyDriver {
    type Running = AnyRunning;

    async fn probe(&self) -> PlatformFacts {
        match self {
            Self::Native(driver) => driver.probe().await,
            Self::Docker(driver) => driver.probe().await,
            Self::Lxc(driver) => driver.probe().await,
            Self::Qemu(driver) => driver.probe().await,
            Self::Fake(driver) => driver.probe().await,
        }
    }

    async fn door(&self) -> Result<Option<Door>, DeployError> {
        match self {
            Self::Native(driver) => driver.door().await,
            Self::Docker(driver) => driver.door().await,
            Self::Lxc(driver) => driver.door().await,
            Self::Qemu(driver) => driver.door().await,
            Self::Fake(driver) => driver.door().await,
        }
    }

    async fn prepare(&self, deployment: &Deployment) -> Result<(), DeployError> {
        match self {
            Self::Native(driver) => driver.prepare(deployment).await,
            Self::Docker(driver) => driver.prepare(deployment).await,
            Self::Lxc(driver) => driver.prepare(deployment).await,
            Self::Qemu(driver) => driver.prepare(deployment).await,
            Self::Fake(driver) => driver.prepare(deployment).await,
        }
    }

    async fn start(&self, deployment: &Deployment) -> Result<AnyRunning, DeployError> {
        match self {
            Self::Native(driver) => driver.start(deployment).await.map(AnyRunning::Native),
            Self::Docker(driver) => driver
                .start(deployment)
                .await
                .map(|running| AnyRunning::Docker(Box::new(running))),
            Self::Lxc(driver) => driver.start(deployment).await.map(AnyRunning::Lxc),
            Self::Qemu(driver) => driver.start(deployment).await.map(AnyRunning::Qemu),
            Self::Fake(driver) => driver.start(deployment).await.map(AnyRunning::Fake),
        }
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        match self {
            Self::Native(driver) => driver.sweep().await,
            Self::Docker(driver) => driver.sweep().await,
            Self::Lxc(driver) => driver.sweep().await,
            Self::Qemu(driver) => driver.sweep().await,
            Self::Fake(driver) => driver.sweep().await,
        }
    }
}

/// A deployment of any driver.
#[derive(Debug)]
pub enum AnyRunning {
    /// Processes of the host.
    Native(NativeRunning),
    /// Containers of a Docker engine.
    Docker(Box<DockerRunning>),
    /// Containers of LXC.
    Lxc(LxcRunning),
    /// Guests under QEMU.
    Qemu(QemuRunning),
    /// The one that only pretends.
    Fake(FakeRunning),
}

impl Running for AnyRunning {
    fn services(&self) -> &[Started] {
        match self {
            Self::Native(running) => running.services(),
            Self::Docker(running) => running.services(),
            Self::Lxc(running) => running.services(),
            Self::Qemu(running) => running.services(),
            Self::Fake(running) => running.services(),
        }
    }

    fn processes(&self, service: &Name) -> Processes {
        match self {
            Self::Native(running) => running.processes(service),
            Self::Docker(running) => running.processes(service),
            Self::Lxc(running) => running.processes(service),
            Self::Qemu(running) => running.processes(service),
            Self::Fake(running) => running.processes(service),
        }
    }

    fn first_output(&self, service: &Name) -> Option<std::time::Duration> {
        match self {
            Self::Native(running) => running.first_output(service),
            Self::Docker(running) => running.first_output(service),
            Self::Lxc(running) => running.first_output(service),
            Self::Qemu(running) => running.first_output(service),
            Self::Fake(running) => running.first_output(service),
        }
    }

    fn parts(&self) -> Vec<Part> {
        match self {
            Self::Native(running) => running.parts(),
            Self::Docker(running) => running.parts(),
            Self::Lxc(running) => running.parts(),
            Self::Qemu(running) => running.parts(),
            Self::Fake(running) => running.parts(),
        }
    }

    fn guest(&self, service: &Name) -> Option<GuestAccount> {
        match self {
            Self::Native(running) => running.guest(service),
            Self::Docker(running) => running.guest(service),
            Self::Lxc(running) => running.guest(service),
            Self::Qemu(running) => running.guest(service),
            Self::Fake(running) => running.guest(service),
        }
    }

    fn interface(&self, service: &Name) -> Option<String> {
        match self {
            Self::Native(running) => running.interface(service),
            Self::Docker(running) => running.interface(service),
            Self::Lxc(running) => running.interface(service),
            Self::Qemu(running) => running.interface(service),
            Self::Fake(running) => running.interface(service),
        }
    }

    fn meter(&self) -> Option<Meter> {
        match self {
            Self::Native(running) => running.meter(),
            Self::Docker(running) => running.meter(),
            Self::Lxc(running) => running.meter(),
            Self::Qemu(running) => running.meter(),
            Self::Fake(running) => running.meter(),
        }
    }

    fn deviations(&self) -> Vec<String> {
        match self {
            Self::Native(running) => running.deviations(),
            Self::Docker(running) => running.deviations(),
            Self::Lxc(running) => running.deviations(),
            Self::Qemu(running) => running.deviations(),
            Self::Fake(running) => running.deviations(),
        }
    }

    async fn ended(&mut self) -> (Name, Exit) {
        match self {
            Self::Native(running) => running.ended().await,
            Self::Docker(running) => running.ended().await,
            Self::Lxc(running) => running.ended().await,
            Self::Qemu(running) => running.ended().await,
            Self::Fake(running) => running.ended().await,
        }
    }

    async fn stop(self) -> Stopped {
        match self {
            Self::Native(running) => running.stop().await,
            Self::Docker(running) => running.stop().await,
            Self::Lxc(running) => running.stop().await,
            Self::Qemu(running) => running.stop().await,
            Self::Fake(running) => running.stop().await,
        }
    }
}
