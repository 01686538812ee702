//! A running deployment: its services, each of which can end by itself, and what they share.

use std::fmt::Debug;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all, select_all};
use protocol::facts::ImageRecord;
use protocol::ids::Name;
use protocol::sample::{Counters, Subject};
use protocol::size::Size;
use protocol::spec::Emulation;
use protocol::summary::{Exit, Teardown};

use crate::error::DeployError;
use crate::guest::GuestEnd;
use crate::processes::{Processes, Snapshot};

/// A service that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The service.
    pub service: Name,
    /// The address by which the controller reaches it; `None`: it does not listen.
    pub endpoint: Option<SocketAddr>,
    /// From the call of the driver until its process existed.
    pub process_after: Duration,
    /// Its first process, in the host's PID namespace.
    pub pid: u32,
}

/// How a deployment ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// How each service ended.
    pub exits: Vec<(Name, Exit)>,
    /// What each service occupied and wrote on disk.
    pub sizes: Vec<(Name, Vec<Size>)>,
    /// What could not be removed.
    pub teardown: Teardown,
}

/// A process that works for the platform: overhead, not part of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformProcess {
    /// What it is, e.g. `dockerd`.
    pub name: Name,
    /// The service that it works for; `None`: for all of them, and perhaps for others on this host.
    pub service: Option<Name>,
    /// The process.
    pub pid: u32,
}

/// What a hypervisor reports about a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestInfo {
    /// The host threads that execute its virtual CPUs: the part of the hypervisor that counts as the service.
    pub vcpus: Vec<u32>,
    /// Its memory, bytes.
    pub memory_bytes: u64,
}

/// One running service: a process, a container or a virtual machine. Dropping it kills it.
pub(crate) trait Instance: Debug + Send + Sync {
    /// What it was started as. `called`: when the driver was called.
    fn started(&self, called: Instant) -> Started;

    /// Its processes.
    fn processes(&self) -> Processes;

    /// When its first output, or that of its guest's console, arrived; `None`: no output yet.
    fn first_output(&self) -> Option<Instant>;

    /// The image that it was started from, if its service is described.
    fn image(&self) -> Option<ImageRecord> {
        None
    }

    /// The limits that could not be enforced for it.
    fn deviations(&self) -> &[String] {
        &[]
    }

    /// The processes that work for the platform on its behalf.
    fn platform_processes(&self) -> Vec<PlatformProcess> {
        Vec::new()
    }

    /// The guest that it runs in; `None`: it is not in a guest.
    fn guest(&self) -> Option<GuestInfo> {
        None
    }

    /// How its guest ended; `None`: it has not, or there is none.
    fn guest_end(&self) -> Option<&GuestEnd> {
        None
    }

    /// The host interface that carries its traffic only, such as a tap.
    fn interface(&self) -> Option<String> {
        None
    }

    /// Waits until it ends by itself. Cancel-safe; must not be called again once it has returned.
    fn ended(&mut self) -> BoxFuture<'_, Exit>;

    /// Stops it within the grace period and removes what belongs to it.
    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, InstanceStopped>;
}

/// How an [`Instance`] ended.
#[derive(Debug)]
pub(crate) struct InstanceStopped {
    /// How it ended.
    pub(crate) exit: Exit,
    /// What could not be removed.
    pub(crate) leftovers: Vec<String>,
    /// What it occupied and wrote on disk.
    pub(crate) sizes: Vec<Size>,
}

/// What the instances of a deployment share on some platforms. Dropping it removes it.
pub(crate) trait Shared: Debug + Send + Sync {
    /// The processes that work for the platform on behalf of all instances. Scans all processes of the host.
    fn platform_processes(&self) -> Vec<PlatformProcess> {
        Vec::new()
    }

    /// Removes it after all instances have stopped. Returns what could not be removed.
    fn remove(&mut self) -> BoxFuture<'_, Vec<String>>;
}

/// A platform that reports figures of its own: a container engine, or the system in a guest.
pub(crate) trait MeterSource: Debug + Send + Sync {
    /// The current figures.
    fn read(&self) -> BoxFuture<'_, Vec<(Subject, Counters)>>;
}

/// Reads a platform's own figures.
#[derive(Clone, Debug)]
pub struct Meter(Arc<dyn MeterSource>);

impl Meter {
    pub(crate) fn new(source: impl MeterSource + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// The current figures. A service for which the platform does not answer is left out.
    pub async fn read(&self) -> Vec<(Subject, Counters)> {
        self.0.read().await
    }
}

/// Starts instances concurrently. On an error those that did start are stopped.
///
/// # Errors
/// The first error.
pub(crate) async fn start_all<I: Instance>(
    starting: impl Iterator<Item = impl Future<Output = Result<I, DeployError>>>,
) -> Result<Vec<I>, DeployError> {
    let (mut instances, mut failure) = (Vec::new(), None);
    for outcome in join_all(starting).await {
        match outcome {
            Ok(instance) => instances.push(instance),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        None => Ok(instances),
        Some(error) => {
            join_all(instances.iter_mut().map(|instance| instance.stop(Duration::ZERO))).await;
            Err(error)
        }
    }
}

/// A running deployment. Dropping it kills its services and removes what belongs to them.
#[derive(Debug)]
pub struct Deployment {
    /// When the driver was called.
    called: Instant,
    grace: Duration,
    started: Vec<Started>,
    /// The services whose end [`Deployment::ended`] has returned.
    reported: Vec<Name>,
    /// Those of the deployment as a whole.
    deviations: Vec<String>,
    emulation: Option<Emulation>,
    meter: Option<Meter>,
    // Dropped before the instances: an engine's containers are removed before they are let go of.
    shared: Option<Box<dyn Shared>>,
    instances: Vec<Box<dyn Instance>>,
}

impl Deployment {
    /// A deployment of these instances, in start order. `called`: when the driver was called.
    pub(crate) fn new<I: Instance + 'static>(called: Instant, grace: Duration, instances: Vec<I>) -> Self {
        Self {
            called,
            grace,
            started: instances.iter().map(|instance| instance.started(called)).collect(),
            reported: Vec::new(),
            deviations: Vec::new(),
            emulation: None,
            meter: None,
            shared: None,
            instances: instances.into_iter().map(|instance| Box::new(instance) as _).collect(),
        }
    }

    /// Adds what the instances share.
    pub(crate) fn with_shared(self, shared: impl Shared + 'static) -> Self {
        let shared = Some(Box::new(shared) as _);
        Self { shared, ..self }
    }

    /// Adds deviations of the deployment as a whole.
    pub(crate) fn with_deviations(self, deviations: Vec<String>) -> Self {
        Self { deviations, ..self }
    }

    /// Marks the guests as emulated.
    pub(crate) fn with_emulation(self, emulation: Option<Emulation>) -> Self {
        Self { emulation, ..self }
    }

    /// Adds the platform's own figures.
    pub(crate) fn with_meter(self, meter: Option<Meter>) -> Self {
        Self { meter, ..self }
    }

    fn instance(&self, service: &Name) -> Option<&dyn Instance> {
        let index = self.started.iter().position(|started| started.service == *service)?;
        self.instances.get(index).map(|instance| &**instance)
    }

    /// The services as they were started.
    #[must_use]
    pub fn services(&self) -> &[Started] {
        &self.started
    }

    /// The processes of a service: the first, and its descendants.
    #[must_use]
    pub fn processes(&self, service: &Name) -> Processes {
        let instance = self.instance(service);
        instance.map_or_else(|| Processes::Fixed(Vec::new()), Instance::processes)
    }

    /// The current processes of a service. Empty: it has ended.
    #[must_use]
    pub fn pids(&self, service: &Name) -> Vec<u32> {
        self.processes(service).pids(&Snapshot::default())
    }

    /// From the call of the driver until the first byte of a service's output, or of its guest's console; `None`: no output yet.
    #[must_use]
    pub fn first_output(&self, service: &Name) -> Option<Duration> {
        let at = self.instance(service)?.first_output()?;
        Some(at.saturating_duration_since(self.called))
    }

    /// The processes that work for the platform. Scans all processes of the host: call it once.
    #[must_use]
    pub fn platform_processes(&self) -> Vec<PlatformProcess> {
        let shared = self.shared.iter().flat_map(|shared| shared.platform_processes());
        let own = self.instances.iter().flat_map(|instance| instance.platform_processes());
        shared.chain(own).collect()
    }

    /// The image that a described service was started from.
    #[must_use]
    pub fn image(&self, service: &Name) -> Option<ImageRecord> {
        self.instance(service)?.image()
    }

    /// The guest that a service runs in; `None`: it is not in a guest.
    #[must_use]
    pub fn guest(&self, service: &Name) -> Option<GuestInfo> {
        self.instance(service)?.guest()
    }

    /// How a service's guest ended, once [`Deployment::ended`] has returned its end.
    #[must_use]
    pub fn guest_end(&self, service: &Name) -> Option<&GuestEnd> {
        self.instance(service)?.guest_end()
    }

    /// The host interface that carries the traffic of a service only, such as a tap.
    #[must_use]
    pub fn interface(&self, service: &Name) -> Option<String> {
        self.instance(service)?.interface()
    }

    /// Reads the platform's own figures; `None`: it has none.
    #[must_use]
    pub fn meter(&self) -> Option<Meter> {
        self.meter.clone()
    }

    /// The parts of the contract on CPUs, memory and network path that are not met, each once.
    #[must_use]
    pub fn deviations(&self) -> Vec<String> {
        let mut all = self.deviations.clone();
        for deviation in self.instances.iter().flat_map(|instance| instance.deviations()) {
            if !all.contains(deviation) {
                all.push(deviation.clone());
            }
        }
        all
    }

    /// `Some`: the guests are emulated.
    #[must_use]
    pub const fn emulation(&self) -> Option<&Emulation> {
        self.emulation.as_ref()
    }

    /// Waits until a service ends by itself whose end was not returned before; forever if there is none. Cancel-safe.
    pub async fn ended(&mut self) -> (Name, Exit) {
        let instances = self.started.iter().zip(&mut self.instances);
        let waiting: Vec<_> = instances
            .filter(|(started, _)| !self.reported.contains(&started.service))
            .map(|(started, instance)| Box::pin(async { (started.service.clone(), instance.ended().await) }))
            .collect();
        if waiting.is_empty() {
            return pending().await;
        }
        let (service, exit) = select_all(waiting).await.0;
        self.reported.push(service.clone());
        (service, exit)
    }

    /// Stops all services at once within the grace period, kills those that do not stop, and verifies that nothing is left.
    pub async fn stop(mut self) -> Stopped {
        let ends = join_all(self.instances.iter_mut().map(|instance| instance.stop(self.grace))).await;
        let mut stopped = Stopped::default();
        for (started, end) in self.started.iter().zip(ends) {
            stopped.exits.push((started.service.clone(), end.exit));
            stopped.sizes.push((started.service.clone(), end.sizes));
            stopped.teardown.leftovers.extend(end.leftovers);
        }
        if let Some(shared) = &mut self.shared {
            stopped.teardown.leftovers.extend(shared.remove().await);
        }
        stopped
    }
}
