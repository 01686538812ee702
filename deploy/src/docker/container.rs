//! One service as a container.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{CreateContainerOptionsBuilder, KillContainerOptionsBuilder};
use futures_util::future::BoxFuture;
use protocol::ids::Name;
use protocol::spec::{Resources, ServiceSpec, Transport};
use protocol::summary::Exit;
use tokio::fs::File;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::engine::{is_missing, said};
use super::parts::Known;
use super::runtime::Maker;
use super::{body, engine, image, remove, size, watch};
use crate::cgroup::Layout;
use crate::deployment::{Instance, InstanceStopped};
use crate::first_output::FirstOutput;
use crate::mark::Mark;
use crate::oom::OomDetector;

use crate::procfs::Procfs;
use crate::{DeployError, Processes, network};

/// How long a killed container may take to be seen dead, and its last output to come.
const DEATH: Duration = Duration::from_secs(10);
/// How long a process may take from leaving its cgroup to being dead.
const EXIT: Duration = Duration::from_millis(500);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// What every container of a deployment is made with.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) image: String,
    pub(super) resources: Resources,
    pub(super) logs: PathBuf,
    /// The address of the host on which ports are published, and that under which they are reached.
    pub(super) publish: Option<(IpAddr, IpAddr)>,
    /// The engine's name of the network that they are on; `None`: its own bridge.
    pub(super) network: Option<String>,
    /// What makes them.
    pub(super) maker: Maker,
}

/// One service as a container, running or ended.
#[derive(Debug)]
pub(super) struct Container {
    docker: bollard::Docker,
    service: Name,
    name: String,
    image: String,
    pid: u32,
    /// When the engine had started its process.
    exists_since: Instant,
    /// Its own address on the bridge.
    address: IpAddr,
    endpoint: Option<SocketAddr>,
    published: Option<(Transport, SocketAddr)>,
    cgroup: Option<PathBuf>,
    warnings: Vec<String>,
    end: JoinHandle<Exit>,
    exit: Option<Exit>,
    log: JoinHandle<()>,
    first_output: FirstOutput,
}

impl Container {
    /// Creates and starts it. The caller removes the container of this mark, whether this succeeds or not.
    pub(super) async fn start(
        docker: &bollard::Docker,
        order: &Order,
        mark: &Mark,
        service: &ServiceSpec,
    ) -> Result<Self, DeployError> {
        let name = mark.container();
        let log = watch::open_log(&order.logs, service.name.as_str()).await?;
        let published = order
            .publish
            .and_then(|(bind, _)| Some((service.ready.transport(), (bind, service.port?).into())));
        let warnings = create(docker, order, mark, service).await?;
        let kills = OomDetector::new(order.maker.is_podman && order.resources.memory_mib.is_some());
        docker
            .start_container(&name, None)
            .await
            .map_err(|error| could_not_start(&error, service, published))?;
        let exists_since = Instant::now();
        let end = tokio::spawn(watch::wait_for_end(docker.clone(), name.clone(), kills));
        let (inspect, cgroups) = look(docker, &name).await.map_err(|error| said(&error))?;
        let place = match place(&inspect, &cgroups, service, kills) {
            Ok(place) => place,
            Err(error) => {
                last_words(docker, &name, log).await;
                return Err(error);
            }
        };
        let first_output = FirstOutput::default();
        let log = watch::copy_log(docker.clone(), name.clone(), log, first_output.clone());
        let reached = order.publish.map_or(place.address, |(_, reached)| reached);
        Ok(Self {
            service: service.name.clone(),
            pid: place.pid,
            exists_since,
            endpoint: service.port.map(|port| (reached, port).into()),
            address: place.address,
            published,
            cgroup: place.cgroup,
            warnings,
            end,
            exit: None,
            log: tokio::spawn(log),
            first_output,
            docker: docker.clone(),
            image: order.image.clone(),
            name,
        })
    }

    /// What is known of it, to find what works for it.
    pub(super) fn known(&self) -> Known {
        Known {
            service: self.service.clone(),
            pid: self.pid,
            address: self.address,
        }
    }

    /// Its name at the engine.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether its end was seen.
    pub(super) const fn has_ended(&self) -> bool {
        self.exit.is_some()
    }

    async fn end(&mut self, grace: Duration) -> Exit {
        self.signal("SIGTERM").await;
        if let Ok((_, exit)) = timeout(grace, self.ended()).await {
            return exit;
        }
        self.signal("SIGKILL").await;
        match timeout(DEATH, self.ended()).await {
            Ok((_, Exit::Signal(libc::SIGKILL))) => Exit::Killed,
            Ok((_, exit)) => exit,
            Err(_) => Exit::Unknown,
        }
    }

    /// A container that has ended cannot get a signal, which is no error here.
    async fn signal(&self, signal: &str) {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        if let Err(error) = self.docker.kill_container(&self.name, Some(options)).await {
            tracing::debug!(container = self.name, signal, %error, "not signalled");
        }
    }
}

impl Instance for Container {
    fn service(&self) -> &Name {
        &self.service
    }

    fn endpoint(&self) -> Option<SocketAddr> {
        self.endpoint
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    fn exists_since(&self) -> Instant {
        self.exists_since
    }

    /// What its cgroup holds, or the tree under its first process. Both read the kernel's files and do not ask the engine.
    fn processes(&self) -> Processes {
        match &self.cgroup {
            _ if self.has_ended() => Processes::Fixed(Vec::new()),
            Some(dir) => Processes::Cgroup {
                first: self.pid,
                dirs: vec![dir.clone()],
            },
            None => Processes::Tree(self.pid),
        }
    }

    /// When it came from the engine.
    fn first_output(&self) -> Option<Instant> {
        self.first_output.at()
    }

    /// What the engine said it cannot do, at the creation.
    fn deviations(&self) -> &[String] {
        &self.warnings
    }

    fn is_reported(&self) -> bool {
        self.has_ended()
    }

    fn ended(&mut self) -> BoxFuture<'_, (Name, Exit)> {
        Box::pin(async {
            let exit = (&mut self.end).await.unwrap_or(Exit::Unknown);
            self.exit = Some(exit.clone());
            (self.service.clone(), exit)
        })
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, InstanceStopped> {
        Box::pin(async move {
            let exit = match self.exit.clone() {
                Some(exit) => exit,
                None => self.end(grace).await,
            };
            if timeout(DEATH, &mut self.log).await.is_err() {
                self.log.abort();
            }
            let sizes = timeout(DEATH, size::of(&self.docker, &self.name, &self.image)).await;
            let mut leftovers = remove::remove(&self.docker, &self.name).await;
            if let Some((transport, address)) = self.published {
                leftovers.extend(remove::wait_for_port(transport, address).await);
            }
            InstanceStopped {
                exit,
                leftovers,
                sizes: sizes.unwrap_or_default(),
            }
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.end.abort();
        self.log.abort();
    }
}

async fn create(
    docker: &bollard::Docker,
    order: &Order,
    mark: &Mark,
    service: &ServiceSpec,
) -> Result<Vec<String>, DeployError> {
    let options = CreateContainerOptionsBuilder::new().name(&mark.container()).build();
    let body = body::body(order, mark, service);
    match docker.create_container(Some(options), body).await {
        Ok(created) => Ok(created
            .warnings
            .into_iter()
            .filter(|warning| !warning.is_empty())
            .collect()),
        Err(error) if is_missing(&error) => Err(image::missing(&order.image)),
        Err(error) => Err(said(&error)),
    }
}

/// A port that was taken between our look and the engine's is still told as one.
fn could_not_start(
    error: &bollard::errors::Error,
    service: &ServiceSpec,
    published: Option<(Transport, SocketAddr)>,
) -> DeployError {
    match published {
        Some((transport, address)) if network::is_taken(transport, address) => DeployError::PortTaken {
            service: service.name.clone(),
            address,
        },
        _ => said(error),
    }
}

/// Where a started container is.
#[derive(Debug)]
struct Place {
    pid: u32,
    address: IpAddr,
    cgroup: Option<PathBuf>,
}

/// What the engine knows of a container, and what the kernel says of its process's cgroups.
///
/// A process that has just died is in its container's cgroup no longer, while the engine may still show it as running: it is asked again then.
async fn look(
    docker: &bollard::Docker,
    name: &str,
) -> Result<(ContainerInspectResponse, String), bollard::errors::Error> {
    let begun = Instant::now();
    loop {
        let inspect = engine::inspect(docker, name).await?;
        let Some(pid) = running_pid(&inspect) else {
            return Ok((inspect, String::new()));
        };
        let procfs = Procfs::default();
        let cgroups = procfs.cgroups(pid).unwrap_or_default();
        let is_stray = !cgroups.is_empty() && !inspect.id.as_ref().is_some_and(|id| cgroups.contains(id));
        // On its way out it has left its cgroup and is not dead yet.
        let patience = if procfs.is_alive(pid) { EXIT } else { DEATH };
        if !is_stray || begun.elapsed() >= patience {
            return Ok((inspect, cgroups));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The process of a container that the engine shows as running.
fn running_pid(inspect: &ContainerInspectResponse) -> Option<u32> {
    let state = inspect.state.as_ref().filter(|state| state.running == Some(true))?;
    u32::try_from(state.pid?).ok().filter(|&pid| pid > 0)
}

/// Reads where a container is, and proves that its process is one of this host: an engine elsewhere would have us sample strangers.
fn place(
    inspect: &ContainerInspectResponse,
    cgroups: &str,
    service: &ServiceSpec,
    kills: OomDetector,
) -> Result<Place, DeployError> {
    let say = |message: String| DeployError::Platform {
        platform: "docker",
        message,
    };
    let name = &service.name;
    let Some(pid) = running_pid(inspect) else {
        let state = inspect.state.clone().unwrap_or_default();
        let how = match kills.classify(watch::exit(&state)) {
            Exit::OutOfMemory => "killed for memory: give it a higher memory limit".to_owned(),
            Exit::Signal(number) => format!("by signal {number}"),
            Exit::Code(code) => format!("with exit code {code}"),
            _ => "nobody saw how".to_owned(),
        };
        return Err(say(format!(
            "the container of {name} ended at once, {how}; its log may say why"
        )));
    };
    let id = inspect.id.clone().unwrap_or_default();
    if !cgroups.is_empty() && (id.is_empty() || !cgroups.contains(&id)) {
        return Err(say(format!(
            "pid {pid} of {name} is no process of a container on this host: the runner must run on the engine's host, outside of containers"
        )));
    }
    let networks = inspect
        .network_settings
        .clone()
        .and_then(|settings| settings.networks)
        .unwrap_or_default();
    let address = networks
        .values()
        .find_map(|network| network.ip_address.as_deref()?.parse().ok());
    Ok(Place {
        pid,
        address: address.ok_or_else(|| say(format!("the container of {name} has no IPv4 address on a bridge: give the engine's network an IPv4 subnet, or use network = \"bridge\"")))?,
        cgroup: Layout::of_this_host().and_then(|layout| layout.dir_of(cgroups)),
    })
}

/// Saves what a container said that ended at once.
async fn last_words(docker: &bollard::Docker, name: &str, log: File) {
    let copy = watch::copy_log(docker.clone(), name.to_owned(), log, FirstOutput::default());
    let _ = timeout(DEATH, copy).await;
}
