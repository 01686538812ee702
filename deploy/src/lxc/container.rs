//! One service as an LXC container: its monitor, first process, cgroups, address and files.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use protocol::ids::Name;
use protocol::size::Part;
use protocol::spec::{Resources, ServiceSpec};
use protocol::summary::Exit;
use tokio::time::sleep;

use super::config::{self, Config};
use super::rootfs::PROGRAM;
use super::{end, said, trace};
use crate::cgroup::{self, Cgroup, Layout};
use crate::first_output::Watch;
use crate::kills::Kills;
use crate::mark::{self, Mark};
use crate::member::{Gone, Member};
use crate::native::unit;
use crate::network::Lease;
use crate::network::bridge::Bridge;
use crate::process::{self, Launch, Process};
use crate::procfs::Procfs;
use crate::{DeployError, Processes, log, service_args, size};

/// Polling interval for the service's program to run: the most by which `process_after` is late.
const LOOK: Duration = Duration::from_millis(2);

/// What all containers of a deployment share.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// `lxc-start`.
    pub(super) starter: PathBuf,
    /// The host's cgroup layout.
    pub(super) layout: Layout,
    /// The root file system.
    pub(super) root: PathBuf,
    /// Where each container has a directory.
    pub(super) containers: PathBuf,
    /// The bridge that they are connected to.
    pub(super) bridge: Bridge,
    /// The limits of each container.
    pub(super) resources: Resources,
    /// The directory of the services' logs.
    pub(super) logs: PathBuf,
}

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
    program: PathBuf,
    log: PathBuf,
    /// Its cgroup in the first hierarchy that is used.
    cgroup: PathBuf,
    output: Option<Watch>,
    kills: Kills,
    exit: Option<Exit>,
    reported: bool,
    stopped: bool,
    // Dropped after the monitor, which must be killed first.
    lease: Option<Lease>,
    files: Files,
}

impl Container {
    /// Starts a service, and returns once its program runs. On error nothing of it is left.
    pub(super) async fn start(order: &Order, mark: Mark, service: &ServiceSpec) -> Result<Self, DeployError> {
        let lease = Lease::take(&order.bridge)?;
        let files = Files::write(order, &mark, &lease)?;
        let log = order.logs.join(format!("{}.log", service.name));
        let output = unit::watch(&log);
        let kills = Kills::look(order.resources.memory_mib.is_some());
        let root = order.layout.roots().into_iter().next().unwrap_or_default();
        let place = service.port.map(|port| (lease.address(), port).into());
        let monitor = Process::spawn(Launch {
            program: order.starter.clone(),
            args: files.arguments(service_args(service, place)),
            environment: environment(&mark),
            log: log.clone(),
            output: None,
            doors: Vec::new(),
            affinity: None,
            mems: None,
            inherited: Vec::new(),
            read_only: None,
        });
        let monitor = monitor.map_err(|source| DeployError::Io {
            what: format!("starting {} for service {}", order.starter.display(), service.name),
            source,
        })?;
        let mut container = Self {
            cgroup: root.join(config::cgroup(&mark)),
            mark,
            pid: 0,
            exists_since: Instant::now(),
            monitor,
            endpoint: place,
            program: order.root.join(PROGRAM),
            log,
            output,
            kills,
            exit: None,
            reported: false,
            stopped: false,
            lease: Some(lease),
            files,
        };
        match container.up().await {
            Ok(()) => Ok(container),
            Err(error) => {
                container.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// Waits until the service's program runs.
    async fn up(&mut self) -> Result<(), DeployError> {
        let procfs = Procfs::default();
        loop {
            // Until its exec the process is still called lxc-start.
            let runs = |pid: &u32| procfs.name(*pid).as_deref() == Some(PROGRAM);
            if let Some(pid) = cgroup::procs(&self.cgroup).into_iter().find(runs) {
                self.pid = pid;
                self.exists_since = Instant::now();
                return Ok(());
            }
            tokio::select! {
                status = self.monitor.wait() => return Err(self.ended_at_once(status)),
                () = sleep(LOOK) => {}
            }
        }
    }

    fn ended_at_once(&mut self, status: io::Result<ExitStatus>) -> DeployError {
        self.exit = Some(Exit::Unknown);
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let service = &self.mark.service;
        said(format!(
            "the container of {service} exited immediately ({} ended with {status}): {}",
            super::STARTER,
            log::tail(&self.log)
        ))
    }

    /// `lxc-start`, the process that LXC costs.
    pub(super) const fn monitor(&self) -> u32 {
        self.monitor.pid()
    }

    /// The host's end of its veth.
    pub(super) fn interface(&self) -> Option<String> {
        self.lease.as_ref().map(Lease::name)
    }

    fn exit(&self, status: io::Result<ExitStatus>) -> Exit {
        if self.monitor.was_killed() {
            return Exit::Killed;
        }
        match status {
            Ok(status) if status.success() => self.kills.explain(self.files.end(self.pid)),
            _ => Exit::Unknown,
        }
    }

    /// Removes what belongs to it. Returns what could not be removed.
    async fn leave(&mut self) -> Vec<String> {
        let mark = self.mark.clone();
        let members = || unit::members(&mark, self.monitor(), None);
        process::kill_all(members).await;
        let mut left: Vec<String> = members()
            .iter()
            .map(|pid| format!("pid {pid} of {}", mark.service))
            .collect();
        left.extend(unit::remove(cgroups(&mark)).await);
        left.extend(self.lease.take().map(Lease::give_back).unwrap_or_default());
        left.extend(self.files.remove());
        left
    }
}

impl Member for Container {
    fn service(&self) -> &Name {
        &self.mark.service
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

    fn first_output(&self) -> Option<Instant> {
        self.output.as_ref()?.at()
    }

    fn is_reported(&self) -> bool {
        self.reported
    }

    async fn ended(&mut self) -> (Name, Exit) {
        let status = self.monitor.wait().await;
        let exit = self.exit(status);
        self.exit = Some(exit.clone());
        self.reported = true;
        (self.mark.service.clone(), exit)
    }

    async fn stop(&mut self, grace: Duration) -> Gone {
        let exit = match self.exit.clone() {
            Some(exit) => exit,
            None => {
                // lxc-start forwards the signal to its container.
                let status = self.monitor.end(grace, Vec::new).await;
                self.exit(status)
            }
        };
        self.exit = Some(exit.clone());
        let left = self.leave().await;
        self.stopped = true;
        Gone {
            exit,
            left,
            sizes: size::file(Part::Program, &self.program).into_iter().collect(),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.stopped {
            return;
        }
        unit::members(&self.mark, self.monitor(), None)
            .into_iter()
            .for_each(process::kill);
        let cgroups = cgroups(&self.mark);
        // The killed processes take a moment to leave the cgroup, and a destructor must not wait for them.
        std::thread::spawn(move || cgroups.remove(unit::PATIENCE));
    }
}

/// All cgroups that LXC creates for a container and its monitor.
fn cgroups(mark: &Mark) -> Cgroup {
    let leaf = mark.cgroup();
    let leaves = ["", ".monitor", ".pivot"].map(|end| format!("{leaf}{end}"));
    Cgroup::of_others(&mark::cgroup_group(&mark.runner), &leaves)
}

fn environment(mark: &Mark) -> Vec<(&'static str, String)> {
    let mut environment = vec![("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())];
    environment.extend(mark.environment());
    environment
}

/// The files of one container: its configuration, and LXC's log. Dropping it removes them.
#[derive(Debug)]
struct Files {
    containers: PathBuf,
    name: String,
}

impl Files {
    fn write(order: &Order, mark: &Mark, lease: &Lease) -> Result<Self, DeployError> {
        let files = Self {
            containers: order.containers.clone(),
            name: mark.container(),
        };
        let config = Config {
            mark,
            root: &order.root,
            bridge: lease.bridge(),
            interface: lease.name(),
            address: lease.address(),
            gateway: lease.host(),
            resources: &order.resources,
            layout: &order.layout,
            seccomp: config::seccomp(),
            log: &files.log(),
        };
        let written = fs::create_dir_all(files.folder()).and_then(|()| fs::write(files.config(), config.text()));
        written.map_err(|source| DeployError::Io {
            what: format!("writing {}", files.config().display()),
            source,
        })?;
        Ok(files)
    }

    fn folder(&self) -> PathBuf {
        self.containers.join(&self.name)
    }

    fn config(&self) -> PathBuf {
        self.folder().join("config")
    }

    fn log(&self) -> PathBuf {
        self.folder().join("lxc.log")
    }

    /// The arguments of `lxc-start`; those of the service are passed on as they are.
    fn arguments(&self, service: Vec<String>) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let own = [
            "--foreground".to_owned(),
            format!("--name={}", self.name),
            format!("--lxcpath={}", text(&self.containers)),
            format!("--rcfile={}", text(&self.config())),
            "--".to_owned(),
            format!("/{PROGRAM}"),
        ];
        own.into_iter().chain(service).collect()
    }

    /// How the container with this first process ended.
    fn end(&self, pid: u32) -> Exit {
        let log = fs::read(self.log()).unwrap_or_default();
        end::read(&String::from_utf8_lossy(&log), pid)
    }

    /// Removes them. Returns what could not be removed.
    fn remove(&self) -> Option<String> {
        let removed = fs::remove_dir_all(self.folder());
        trace::remove_lock(&self.containers, &self.name);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Some(format!("{}: {error}", self.folder().display()))
            }
            _ => None,
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.remove();
    }
}
