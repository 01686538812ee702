//! The drivers: how services are put on a platform, found there, and taken away without a trace.
//!
//! A [`Driver`] knows a platform; a [`Running`] is one deployment on it. [`AnyDriver`] and [`AnyRunning`] are the enums over them, [`fake`] is
//! the complete driver that only pretends. Whoever starts a thing owns its end: [`Running::stop`] is graceful and looks whether anything is
//! left, `Drop` kills. Everything that a driver creates bears the runner's mark ([`mark`]), so that a runner that comes back after `kill -9` can sweep away what
//! its dead self left, and nothing else.

pub mod accounts;
mod any;
mod arguments;
pub mod binary;
pub mod cgroup;
pub mod docker;
pub mod fake;
mod first_output;
pub mod guest;
mod kills;
mod limits;
mod log;
pub mod lxc;
pub mod mark;
mod member;
mod meter;
pub mod native;
pub mod network;
pub mod process;
mod processes;
pub mod procfs;
mod programs;
pub mod qemu;
pub mod ready;
mod size;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use protocol::facts::PlatformFacts;
use protocol::ids::{AttemptId, Name};
use protocol::size::Size;
use protocol::spec::{PlatformSpec, Resources, ServiceSpec};
use protocol::summary::{Exit, Teardown};

pub use accounts::{GuestAccount, Part};
pub use any::{AnyDriver, AnyRunning};
pub use arguments::service_args;
pub use limits::affinity;
pub use meter::Meter;
pub use processes::{Processes, Snapshot};

/// What every driver of a runner knows of its host.
#[derive(Clone, Debug)]
pub struct Host {
    /// The runner's name: part of the mark on everything it creates. Two runners on one host must have two names.
    pub runner: Name,
    /// The address by which the controller reaches this host.
    pub address: IpAddr,
    /// The `workload` program; static, if it is to go into containers and guests.
    pub workload: PathBuf,
    /// Where drivers may keep images and caches.
    pub state: PathBuf,
}

/// One deployment to make.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The attempt it is for.
    pub attempt: AttemptId,
    /// What the services run on.
    pub platform: PlatformSpec,
    /// The services, in the order they are started.
    pub services: Vec<ServiceSpec>,
    /// The limits that each gets.
    pub resources: Resources,
    /// Where each service's output goes: `<logs>/<service>.log`.
    pub logs: PathBuf,
    /// From asking a service to end to killing it.
    pub grace: Duration,
}

/// A service that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The service.
    pub service: Name,
    /// Where it answers, as the controller can reach it; `None`: it listens nowhere.
    pub endpoint: Option<SocketAddr>,
    /// From the driver's call until its process existed.
    pub process_after: Duration,
    /// Its first process, as the host numbers it.
    pub pid: u32,
}

/// How services on a platform with a network of its own reach their host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// Where the host has to listen.
    pub bind: IpAddr,
    /// The address that reaches it from the platform.
    pub seen: IpAddr,
}

/// Why a deployment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The platform's need is not met.
    #[error("{need}: {remedy}")]
    Unmet {
        /// What is missing.
        need: String,
        /// What to do about it.
        remedy: String,
    },
    /// A port is taken.
    #[error(
        "port {address} for service {service} is taken: stop what listens there (`ss -ltunp`), or give the workload another port"
    )]
    PortTaken {
        /// The service.
        service: Name,
        /// The address.
        address: SocketAddr,
    },
    /// An image is missing.
    #[error("image {image} is not there: {remedy}")]
    ImageMissing {
        /// Its name.
        image: String,
        /// What to do about it.
        remedy: String,
    },
    /// A file or a process could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// The platform said no.
    #[error("{platform} says: {message}")]
    Platform {
        /// Which platform.
        platform: &'static str,
        /// Its words, with the remedy where we know one.
        message: String,
    },
}

/// What knows a platform.
pub trait Driver: Send + Sync {
    /// One deployment on it.
    type Running: Running;

    /// Proves that the platform can be used on this host now, with versions; an unmet need comes with its remedy. Changes nothing.
    fn probe(&self) -> impl Future<Output = PlatformFacts> + Send;

    /// How services on the platform reach their host, made if need be; `None`: they are processes of the host, and reach it as others do.
    ///
    /// # Errors
    /// See [`DeployError`].
    fn door(&self) -> impl Future<Output = Result<Option<Door>, DeployError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Makes what takes long and need not be repeated (an image), outside the timed start. Doing it again is cheap.
    ///
    /// # Errors
    /// See [`DeployError`].
    fn prepare(&self, deployment: &Deployment) -> impl Future<Output = Result<(), DeployError>> + Send;

    /// Starts every service, in order. On error, or if the future is dropped, what was started is gone.
    ///
    /// # Errors
    /// See [`DeployError`].
    fn start(&self, deployment: &Deployment) -> impl Future<Output = Result<Self::Running, DeployError>> + Send;

    /// Removes everything that bears this runner's mark, and says in words what was found. For the start of a runner, when nothing can be its own.
    ///
    /// # Errors
    /// See [`DeployError`].
    fn sweep(&self) -> impl Future<Output = Result<Vec<String>, DeployError>> + Send;
}

/// One deployment, alive. Dropping it kills it.
pub trait Running: Send {
    /// The services as they were started.
    fn services(&self) -> &[Started];

    /// The processes of a service: the first, and whatever it starts.
    fn processes(&self, service: &Name) -> Processes;

    /// The processes of a service now. Empty: gone.
    fn pids(&self, service: &Name) -> Vec<u32> {
        self.processes(service).pids(&Snapshot::default())
    }

    /// From the driver's call until the first byte of a service's output, or of its guest's console; `None`: silent so far.
    fn first_output(&self, _service: &Name) -> Option<Duration> {
        None
    }

    /// The processes that work for the platform and not for a service alone. Looks through all processes: to be asked once.
    fn parts(&self) -> Vec<Part> {
        Vec::new()
    }

    /// The guest that a service is; `None`: it is none.
    fn guest(&self, _service: &Name) -> Option<GuestAccount> {
        None
    }

    /// The host's interface that carries a service alone, such as the tap of its guest.
    fn interface(&self, _service: &Name) -> Option<String> {
        None
    }

    /// What asks the platform for its own figures; `None`: it has none.
    fn meter(&self) -> Option<Meter> {
        None
    }

    /// What of the fairness contract could not be kept, in words.
    fn deviations(&self) -> Vec<String>;

    /// Waits until a service ends by itself. Cancel-safe.
    fn ended(&mut self) -> impl Future<Output = (Name, Exit)> + Send;

    /// Ends every service within the grace, kills what does not end, collects its output, and looks whether anything is left.
    fn stop(self) -> impl Future<Output = Stopped> + Send;
}

/// A deployment's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// How each service ended.
    pub exits: Vec<(Name, Exit)>,
    /// What each service needed on the disk, and what it wrote there.
    pub sizes: Vec<(Name, Vec<Size>)>,
    /// What is left.
    pub teardown: Teardown,
}
