//! One service as an LXC container: its monitor, first process, cgroups, address and files.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use protocol::facts::ImageRecord;
use protocol::size::Part;
use protocol::summary::Exit;
use tokio::time::sleep;

use super::config::{self, STARTER, SharedConfig};
use super::files::Files;
use super::plan::ContainerPlan;
use crate::cgroup::Cgroup;
use crate::deployment::{Instance, InstanceStopped, PlatformProcess, Started};
use crate::first_output::OutputWatch;
use crate::mark::{self, Mark};
use crate::network::AddressReservation;
use crate::oom::OomDetector;
use crate::process::{Launch, Process};
use crate::processes::in_cgroup;
use crate::procfs::Procfs;
use crate::service::ServiceDir;
use crate::{DeployError, Processes, Service, cleanup, log, size};

/// Polling interval for the service's program to run: the most by which `process_after` is late.
const POLL: Duration = Duration::from_millis(2);

/// One service as a container. Dropping it kills the container and removes what belongs to it.
#[derive(Debug)]
pub(super) struct Container {
    mark: Mark,
    /// `lxc-start`.
    monitor: Process,
    /// The service's first process.
    pid: u32,
    exists_since: Instant,
    endpoint: Option<SocketAddr>,
    plan: ContainerPlan,
    log: PathBuf,
    /// Its cgroup in the first hierarchy that is used.
    cgroup: PathBuf,
    output: Option<OutputWatch>,
    oom: OomDetector,
    exit: Option<Exit>,
    stopped: bool,
    // Dropped after the monitor, which must be killed first.
    address: Option<AddressReservation>,
    files: Files,
}

impl Container {
    /// Starts a service, and returns once its program runs. On error nothing of it is left.
    pub(super) async fn start(
        shared: &SharedConfig,
        mark: Mark,
        service: &Service,
        plan: ContainerPlan,
    ) -> Result<Self, DeployError> {
        let address = AddressReservation::new(&shared.bridge)?;
        let files = Files::write(shared, &mark, &plan, &address)?;
        let log = shared.logs.join(format!("{}.log", service.name));
        let output = OutputWatch::create(&log);
        let oom = OomDetector::new(shared.resources.memory_mib.is_some());
        let root = shared.layout.roots().into_iter().next().unwrap_or_default();
        let endpoint = service.port.map(|port| (address.ip(), port).into());
        let args = plan.args.clone().unwrap_or_else(|| service.workload_args(endpoint));
        let monitor = Process::spawn(Launch::new(
            shared.starter.clone(),
            files.arguments(&plan.program, args),
            environment(&mark),
            log.clone(),
        ));
        let monitor = monitor.map_err(|source| DeployError::Io {
            what: format!("starting {} for service {}", shared.starter.display(), service.name),
            source,
        })?;
        let mut container = Self {
            cgroup: root.join(config::cgroup(&mark)),
            mark,
            pid: 0,
            exists_since: Instant::now(),
            monitor,
            endpoint,
            plan,
            log,
            output,
            oom,
            exit: None,
            stopped: false,
            address: Some(address),
            files,
        };
        match container.wait_until_running().await {
            Ok(()) => Ok(container),
            Err(error) => {
                container.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// Waits until the service's program runs.
    async fn wait_until_running(&mut self) -> Result<(), DeployError> {
        let (procfs, name) = (Procfs::default(), self.plan.process_name());
        loop {
            // Until its exec the process is still called lxc-start.
            let runs = |pid: &u32| procfs.name(*pid).as_ref() == Some(&name);
            if let Some(pid) = in_cgroup(&self.cgroup).into_iter().find(runs) {
                self.pid = pid;
                self.exists_since = Instant::now();
                return Ok(());
            }
            tokio::select! {
                status = self.monitor.wait() => return Err(self.exited_immediately(status)),
                () = sleep(POLL) => {}
            }
        }
    }

    fn exited_immediately(&mut self, status: io::Result<ExitStatus>) -> DeployError {
        self.exit = Some(Exit::Unknown);
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let service = &self.mark.service;
        DeployError::Platform {
            platform: "lxc",
            message: format!(
                "the container of {service} exited immediately ({} ended with {status}): {}",
                STARTER,
                log::tail(&self.log)
            ),
        }
    }

    fn exit(&self, status: io::Result<ExitStatus>) -> Exit {
        if self.monitor.was_killed() {
            return Exit::Killed;
        }
        match status {
            Ok(status) if status.success() => self.oom.classify(self.files.exit(self.pid)),
            _ => Exit::Unknown,
        }
    }

    /// Removes what belongs to it. Returns what could not be removed.
    async fn clean_up(&mut self) -> Vec<String> {
        let mut left = cleanup::kill_service(&self.mark, self.monitor.pid(), None).await;
        left.extend(cleanup::remove_cgroup(cgroups(&self.mark)).await);
        left.extend(self.address.take().map(AddressReservation::release).unwrap_or_default());
        left.extend(self.files.remove());
        left
    }
}

impl Instance for Container {
    fn started(&self, called: Instant) -> Started {
        Started {
            service: self.mark.service.clone(),
            endpoint: self.endpoint,
            process_after: self.exists_since.saturating_duration_since(called),
            pid: self.pid,
        }
    }

    /// The processes in its cgroup.
    fn processes(&self) -> Processes {
        match self.exit {
            None => Processes::Cgroup {
                first: self.pid,
                dirs: vec![self.cgroup.clone()],
            },
            Some(_) => Processes::Fixed(Vec::new()),
        }
    }

    fn image(&self) -> Option<ImageRecord> {
        self.plan.record.clone()
    }

    fn first_output(&self) -> Option<Instant> {
        self.output.as_ref()?.at()
    }

    /// `lxc-start`.
    fn platform_processes(&self) -> Vec<PlatformProcess> {
        let process = |name| PlatformProcess {
            name,
            service: Some(self.mark.service.clone()),
            pid: self.monitor.pid(),
        };
        STARTER.parse().ok().map(process).into_iter().collect()
    }

    /// The host's end of its veth.
    fn interface(&self) -> Option<String> {
        self.address.as_ref().map(AddressReservation::interface)
    }

    fn ended(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            let status = self.monitor.wait().await;
            let exit = self.exit(status);
            self.exit = Some(exit.clone());
            exit
        })
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, InstanceStopped> {
        Box::pin(async move {
            let exit = match self.exit.clone() {
                Some(exit) => exit,
                None => {
                    // lxc-start forwards the signal to its container.
                    let status = self.monitor.end(grace, Vec::new).await;
                    self.exit(status)
                }
            };
            self.exit = Some(exit.clone());
            let written = self.plan.dir.as_ref().map(ServiceDir::written);
            let mut leftovers = self.clean_up().await;
            leftovers.extend(self.plan.dir.take().and_then(ServiceDir::remove));
            self.stopped = true;
            let inside = self.plan.program.strip_prefix("/").unwrap_or(&self.plan.program);
            let root = match self.plan.record {
                Some(_) => Some(size::tree(Part::RootFs, &self.plan.root)),
                None => size::file(Part::Program, &self.plan.root.join(inside)),
            };
            InstanceStopped {
                exit,
                leftovers,
                sizes: root.into_iter().chain(written).collect(),
            }
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.stopped {
            cleanup::kill_service_detached(&self.mark, self.monitor.pid(), Some(cgroups(&self.mark)));
        }
    }
}

/// All cgroups that LXC creates for a container and its monitor.
fn cgroups(mark: &Mark) -> Cgroup {
    let leaf = mark.cgroup();
    let leaves = ["", ".monitor", ".pivot"].map(|end| format!("{leaf}{end}"));
    Cgroup::created_by_others(&mark::cgroup_group(&mark.runner), &leaves)
}

fn environment(mark: &Mark) -> Vec<(&'static str, String)> {
    let mut environment = vec![("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())];
    environment.extend(mark.environment());
    environment
}
