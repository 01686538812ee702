//! One service as a container of an engine.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{CreateContainerOptionsBuilder, KillContainerOptionsBuilder, LogsOptionsBuilder};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use protocol::facts::ImageRecord;
use protocol::ids::Name;
use protocol::spec::Transport;
use protocol::summary::Exit;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::config::{self, ContainerConfig};
use super::engine::{engine_error, is_missing};
use super::overhead::RunningContainer;
use super::plan::ContainerPlan;
use super::{engine, exit, image, remove, size};
use crate::cgroup::Layout;
use crate::deployment::{Instance, InstanceStopped, Started};
use crate::first_output::FirstOutput;
use crate::mark::Mark;
use crate::oom::OomDetector;
use crate::procfs::Procfs;
use crate::service::ServiceDir;
use crate::{DeployError, Processes, Service, network, process};

/// How long a killed container may take to end, and its last output to arrive.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a process may take to end after it has left its cgroup.
const EXIT_TIMEOUT: Duration = Duration::from_millis(500);
/// Polling interval.
const POLL: Duration = Duration::from_millis(20);

/// One service as a container.
#[derive(Debug)]
pub(super) struct Container {
    docker: bollard::Docker,
    service: Name,
    name: String,
    image: String,
    /// What the image is, if the service is described.
    record: Option<ImageRecord>,
    /// The files of a described service.
    dir: Option<ServiceDir>,
    pid: u32,
    /// When the engine confirmed the start.
    exists_since: Instant,
    /// Its address on the bridge.
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
    /// Creates and starts it. On an error the caller removes the container, which may exist.
    pub(super) async fn start(
        docker: &bollard::Docker,
        config: &ContainerConfig,
        mark: &Mark,
        (service, plan): (&Service, ContainerPlan),
    ) -> Result<Self, DeployError> {
        let name = mark.container();
        let log = open_log(&config.logs.join(format!("{}.log", service.name)))?;
        let published = config
            .publish
            .and_then(|(bind, _)| Some((service.transport(), (bind, service.port?).into())));
        let warnings = create(docker, config, mark, (service, &plan)).await?;
        let oom = OomDetector::new(config.resources.memory_mib.is_some());
        docker
            .start_container(&name, None)
            .await
            .map_err(|error| start_error(&error, service, published))?;
        let exists_since = Instant::now();
        let end = tokio::spawn(exit::wait(docker.clone(), name.clone(), oom));
        let (inspect, cgroups) = inspect_settled(docker, &name)
            .await
            .map_err(|error| engine_error(&error))?;
        let location = match locate(&inspect, &cgroups, service, oom) {
            Ok(location) => location,
            Err(error) => {
                // Saves the output of a container that has exited immediately.
                let copy = copy_log(docker.clone(), name, log, FirstOutput::default());
                let _ = timeout(KILL_TIMEOUT, copy).await;
                return Err(error);
            }
        };
        let first_output = FirstOutput::default();
        let log = copy_log(docker.clone(), name.clone(), log, first_output.clone());
        // A published port is the host's; another is the container's own.
        let endpoint = match config.publish {
            Some((_, reached)) => service.port.map(|port| (reached, port).into()),
            None => plan.port.map(|port| (location.address, port).into()),
        };
        Ok(Self {
            service: service.name.clone(),
            pid: location.pid,
            exists_since,
            endpoint,
            address: location.address,
            published,
            cgroup: location.cgroup,
            warnings,
            end,
            exit: None,
            log: tokio::spawn(log),
            first_output,
            docker: docker.clone(),
            image: plan.image,
            record: plan.record,
            dir: plan.dir,
            name,
        })
    }

    /// What identifies the processes that work for it.
    pub(super) fn running(&self) -> RunningContainer {
        RunningContainer {
            service: self.service.clone(),
            pid: self.pid,
            address: self.address,
        }
    }

    /// Its service.
    pub(super) const fn service(&self) -> &Name {
        &self.service
    }

    /// Its name in the engine.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    async fn end(&mut self, grace: Duration) -> Exit {
        self.signal("SIGTERM").await;
        if let Ok(exit) = timeout(grace, self.ended()).await {
            return exit;
        }
        self.signal("SIGKILL").await;
        match timeout(KILL_TIMEOUT, self.ended()).await {
            Ok(Exit::Signal(libc::SIGKILL)) => Exit::Killed,
            Ok(exit) => exit,
            Err(_) => Exit::Unknown,
        }
    }

    /// Sends a signal. It is not an error if the container has ended.
    async fn signal(&self, signal: &str) {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        if let Err(error) = self.docker.kill_container(&self.name, Some(options)).await {
            tracing::debug!(container = self.name, signal, %error, "cannot send the signal");
        }
    }
}

impl Instance for Container {
    fn started(&self, called: Instant) -> Started {
        Started {
            service: self.service.clone(),
            endpoint: self.endpoint,
            process_after: self.exists_since.saturating_duration_since(called),
            pid: self.pid,
        }
    }

    /// The processes in its cgroup, or else the tree below its first process. Neither needs the engine.
    fn processes(&self) -> Processes {
        match &self.cgroup {
            _ if self.exit.is_some() => Processes::Fixed(Vec::new()),
            Some(dir) => Processes::Cgroup {
                first: self.pid,
                dirs: vec![dir.clone()],
            },
            None => Processes::Tree(self.pid),
        }
    }

    fn image(&self) -> Option<ImageRecord> {
        self.record.clone()
    }

    /// When it arrived from the engine.
    fn first_output(&self) -> Option<Instant> {
        self.first_output.at()
    }

    /// The warnings of the engine when the container was created.
    fn deviations(&self) -> &[String] {
        &self.warnings
    }

    fn ended(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            let exit = (&mut self.end).await.unwrap_or(Exit::Unknown);
            self.exit = Some(exit.clone());
            exit
        })
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, InstanceStopped> {
        Box::pin(async move {
            let exit = match self.exit.clone() {
                Some(exit) => exit,
                None => self.end(grace).await,
            };
            if timeout(KILL_TIMEOUT, &mut self.log).await.is_err() {
                self.log.abort();
            }
            let sizes = timeout(KILL_TIMEOUT, size::of(&self.docker, &self.name, &self.image)).await;
            let written = self.dir.as_ref().map(ServiceDir::written);
            let mut leftovers = remove::remove(&self.docker, &self.name).await;
            leftovers.extend(self.dir.take().and_then(ServiceDir::remove));
            if let Some((transport, address)) = self.published {
                leftovers.extend(remove::wait_for_port(transport, address).await);
            }
            InstanceStopped {
                exit,
                leftovers,
                sizes: sizes.unwrap_or_default().into_iter().chain(written).collect(),
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
    config: &ContainerConfig,
    mark: &Mark,
    (service, plan): (&Service, &ContainerPlan),
) -> Result<Vec<String>, DeployError> {
    let options = CreateContainerOptionsBuilder::new().name(&mark.container()).build();
    let body = config::create_body(config, mark, service, plan);
    match docker.create_container(Some(options), body).await {
        Ok(created) => Ok(created
            .warnings
            .into_iter()
            .filter(|warning| !warning.is_empty())
            .collect()),
        Err(error) if is_missing(&error) => Err(image::missing(&plan.image)),
        Err(error) => Err(engine_error(&error)),
    }
}

/// Why the start failed. The port may have been taken since it was checked.
fn start_error(
    error: &bollard::errors::Error,
    service: &Service,
    published: Option<(Transport, SocketAddr)>,
) -> DeployError {
    match published {
        Some((transport, address)) if network::is_taken(transport, address) => DeployError::PortTaken {
            service: service.name.clone(),
            address,
        },
        _ => engine_error(error),
    }
}

/// Where a started container is.
#[derive(Debug)]
struct Location {
    pid: u32,
    address: IpAddr,
    cgroup: Option<PathBuf>,
}

/// The engine's record of a container, and the cgroups of its process.
///
/// A process that is exiting has left its container's cgroup, while the engine may still report it as running: then this repeats until both agree.
async fn inspect_settled(
    docker: &bollard::Docker,
    name: &str,
) -> Result<(ContainerInspectResponse, String), bollard::errors::Error> {
    let called = Instant::now();
    loop {
        let inspect = engine::inspect(docker, name).await?;
        let Some(pid) = running_pid(&inspect) else {
            return Ok((inspect, String::new()));
        };
        let procfs = Procfs::default();
        let cgroups = procfs.cgroups(pid).unwrap_or_default();
        let is_elsewhere = !cgroups.is_empty() && !inspect.id.as_ref().is_some_and(|id| cgroups.contains(id));
        // It may have left its cgroup and not ended yet.
        let limit = if procfs.is_alive(pid) {
            EXIT_TIMEOUT
        } else {
            KILL_TIMEOUT
        };
        if !is_elsewhere || called.elapsed() >= limit {
            return Ok((inspect, cgroups));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The first process of a container that the engine reports as running.
fn running_pid(inspect: &ContainerInspectResponse) -> Option<u32> {
    let state = inspect.state.as_ref().filter(|state| state.running == Some(true))?;
    u32::try_from(state.pid?).ok().filter(|&pid| pid > 0)
}

/// Where a container is. Verifies that its process is one of this host: with an engine on another host, the sampler would measure unrelated processes.
fn locate(
    inspect: &ContainerInspectResponse,
    cgroups: &str,
    service: &Service,
    oom: OomDetector,
) -> Result<Location, DeployError> {
    let failed = |message: String| DeployError::Platform {
        platform: "docker",
        message,
    };
    let name = &service.name;
    let Some(pid) = running_pid(inspect) else {
        let state = inspect.state.clone().unwrap_or_default();
        let how = match oom.classify(exit::classify(&state)) {
            Exit::OutOfMemory => "killed for memory: raise its memory limit".to_owned(),
            Exit::Signal(number) => format!("killed by signal {number}"),
            Exit::Code(code) => format!("with exit code {code}"),
            _ => "for an unknown reason".to_owned(),
        };
        return Err(failed(format!(
            "the container of {name} exited immediately, {how}; see its log"
        )));
    };
    let id = inspect.id.clone().unwrap_or_default();
    if !cgroups.is_empty() && (id.is_empty() || !cgroups.contains(&id)) {
        return Err(failed(format!(
            "pid {pid} of {name} is not in a container on this host: the runner must run on the engine's host, outside of containers"
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
    Ok(Location {
        pid,
        address: address.ok_or_else(|| failed(format!("the container of {name} has no IPv4 address on a bridge: configure an IPv4 subnet for the engine's network, or use network = \"bridge\"")))?,
        cgroup: Layout::of_this_host().and_then(|layout| layout.dir_of(cgroups)),
    })
}

/// Opens the log of a service, which exists even if there is no output.
fn open_log(path: &Path) -> Result<File, DeployError> {
    let opened = process::open_log(path).map(File::from_std);
    opened.map_err(|source| DeployError::Io {
        what: format!("opening {}", path.display()),
        source,
    })
}

/// Copies a container's output until it ends, and records when the first of it arrived.
async fn copy_log(docker: bollard::Docker, container: String, mut file: File, first: FirstOutput) {
    let options = LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).build();
    let mut output = docker.logs(&container, Some(options));
    while let Some(Ok(piece)) = output.next().await {
        if !piece.as_ref().is_empty() {
            first.record();
        }
        if let Err(error) = file.write_all(piece.as_ref()).await {
            tracing::warn!(container, %error, "cannot write the container's output");
            break;
        }
    }
    let _ = file.flush().await;
}
