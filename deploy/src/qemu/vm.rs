//! A running virtual machine: its hypervisor, monitor, console, cgroup, tap and files.

mod ending;
mod lines;
mod start;
mod threads;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use protocol::size::Size;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use lines::Lines;
pub(super) use start::{Programs, Start};

use super::args::{Accelerator, args};
use super::console::Seen;
use super::end::End;
use super::own::Own;
use super::qmp::{Qmp, QmpEvent, Vcpu};
use super::share::Served;
use super::socket::Socket;
use super::ssh::Keys;
use crate::accounts::Part;
use crate::cgroup::Cgroup;
use crate::guest::{Stop, Vmm};
use crate::mark::Mark;
use crate::native::unit;
use crate::network::bridge::Tap;
use crate::process::{Launch, Process};
use crate::{DeployError, limits, log};

/// How long QEMU may take to connect: it loads its firmware and the guest's files first.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long a hypervisor may take to quit when told to, or after its guest has panicked.
const QUIT: Duration = Duration::from_secs(2);
/// How long the console may take to close after the hypervisor has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A running virtual machine. Dropping it kills it and removes what belongs to it.
#[derive(Debug)]
pub(super) struct Vm {
    mark: Mark,
    process: Process,
    exists_since: Instant,
    shares: Vec<Served>,
    vmm: Vmm,
    /// The socket that QEMU's monitor connects to.
    monitor: Option<Socket>,
    qmp: Option<Qmp>,
    events: Option<watch::Receiver<Vec<QmpEvent>>>,
    seen: watch::Receiver<Seen>,
    console: JoinHandle<()>,
    vcpus: Vec<Vcpu>,
    memory_bytes: u64,
    accelerator: Accelerator,
    how_to_stop: Stop,
    log: PathBuf,
    endpoint: Option<SocketAddr>,
    forward: Option<SocketAddr>,
    ssh: Option<SocketAddr>,
    rest: Option<SocketAddr>,
    sizes: Vec<Size>,
    cgroup: Option<Cgroup>,
    deviations: Vec<String>,
    end: Option<End>,
    /// How a virtiofsd that serves it ended before it.
    lost: Option<String>,
    /// When a guest whose virtiofsd has ended is killed.
    bereft: Option<Instant>,
    /// When a guest that has panicked is killed.
    doomed: Option<Instant>,
    /// It was told to stop by a signal, and did.
    told_to_quit: bool,
    reported: bool,
    stopped: bool,
    // Dropped after the process, which must be killed first: a tap in use cannot be removed.
    tap: Option<Tap>,
    own: Own,
}

impl Vm {
    /// Starts the hypervisor and returns once its process exists. The guest is not up yet, and QEMU's monitor not connected.
    pub(super) fn start(start: Start<'_>) -> Result<Self, DeployError> {
        let failed = |what: &str| {
            let what = format!("{what} for the guest of service {}", start.mark.service);
            move |source| DeployError::Io { what, source }
        };
        let (shares, mut connections) = start.serve()?;
        let mut spec = start.spec;
        let Lines {
            monitor,
            console,
            output,
            events,
        } = Channels::open(&mut spec).map_err(failed("creating a socket"))?;
        let (cgroup, deviations) = unit::make_cgroup(start.layout, &start.mark, &start.resources);
        spec.shares = shares
            .iter()
            .zip(&connections)
            .map(|(share, connection)| share.device(connection))
            .collect();
        let events = events.map(|(near, far)| {
            connections.push(far);
            lines::resets(near)
        });
        let mut environment = vec![("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())];
        environment.extend(start.mark.environment());
        let spawned = cgroup
            .as_ref()
            .map_or_else(|| Ok(Vec::new()), Cgroup::doors)
            .and_then(|doors| {
                Process::spawn(Launch {
                    program: start.programs.vmm.to_owned(),
                    args: args(&spec),
                    environment,
                    log: start.log.clone(),
                    output,
                    doors,
                    affinity: start.resources.cpuset.as_ref().and_then(limits::affinity),
                    mems: start.resources.mems.as_ref().map(limits::nodemask),
                    inherited: connections,
                    read_only: None,
                })
            });
        let process = spawned.map_err(|source| {
            if let Some(cgroup) = &cgroup {
                let _ = cgroup.remove(Duration::ZERO);
            }
            failed(&format!("starting {}", start.programs.vmm.display()))(source)
        })?;
        let (sender, seen) = watch::channel(Seen::default());
        let reader = console.follow(process.pid(), start.watch, sender, start.log.clone());
        Ok(Self {
            mark: start.mark,
            process,
            exists_since: Instant::now(),
            shares,
            vmm: spec.vmm,
            monitor,
            qmp: None,
            events,
            seen,
            console: tokio::spawn(reader),
            vcpus: Vec::new(),
            memory_bytes: spec.memory_mib << 20,
            accelerator: spec.accelerator,
            how_to_stop: start.stop,
            log: start.log,
            endpoint: start.endpoint,
            forward: start.forward,
            ssh: start.ssh,
            rest: start.rest,
            sizes: start.sizes,
            cgroup,
            deviations,
            end: None,
            lost: None,
            bereft: None,
            doomed: None,
            told_to_quit: false,
            reported: false,
            stopped: false,
            tap: start.tap,
            own: start.own,
        })
    }

    /// Connects to QEMU's monitor and verifies the acceleration. Other hypervisors have no monitor: waits for their vCPU threads instead.
    pub(super) async fn greet(&mut self) -> Result<(), DeployError> {
        let greeted = self.meet().await;
        // Without its virtiofsd QEMU fails to start, and its error message does not name the reason.
        greeted.map_err(|error| match self.shares.iter_mut().find_map(Served::failure) {
            Some(why) => refused(format!("{why}; the guest of service {} depends on it", self.mark.service)),
            None => error,
        })
    }

    async fn meet(&mut self) -> Result<(), DeployError> {
        let pid = self.process.pid();
        let Some(monitor) = &self.monitor else {
            let vcpus = tokio::select! {
                vcpus = timeout(HANDSHAKE, threads::vcpus(pid)) => vcpus,
                status = self.process.wait() => return Err(self.died(status)),
            };
            let late = || refused(format!("{} started no vCPU thread in time", self.vmm.word()));
            self.vcpus = vcpus.map_err(|_| late())?;
            return Ok(());
        };
        let stream = tokio::select! {
            stream = timeout(HANDSHAKE, monitor.accept(pid)) => stream,
            status = self.process.wait() => return Err(self.died(status)),
        };
        let stream = stream.map_err(|_| refused("QEMU did not connect to its monitor in time".into()))?;
        let (from, to) = stream.map_err(|error| refused(error.to_string()))?.into_split();
        match self.negotiate(from, to).await {
            Ok(()) => Ok(()),
            Err(error) => Err(match timeout(QUIT, self.process.wait()).await {
                Ok(status) => self.died(status),
                Err(_) => refused(error),
            }),
        }
    }

    async fn negotiate(
        &mut self,
        from: tokio::net::unix::OwnedReadHalf,
        to: tokio::net::unix::OwnedWriteHalf,
    ) -> Result<(), String> {
        let mut qmp = Qmp::open(from, to).await.map_err(|error| error.to_string())?;
        let kvm = qmp.kvm().await.map_err(|error| error.to_string())?;
        if kvm.enabled != (self.accelerator == Accelerator::Kvm) {
            return Err(format!(
                "QEMU was started with {:?}, but reports that KVM in use is {}",
                self.accelerator, kvm.enabled
            ));
        }
        self.vcpus = qmp.vcpus().await.map_err(|error| error.to_string())?;
        self.events = Some(qmp.events());
        self.qmp = Some(qmp);
        Ok(())
    }

    /// Copies the program into the guest and starts the service, as soon as the SSH server is up.
    pub(super) async fn log_in(&mut self, keys: &Keys, program: &Path) -> Result<(), DeployError> {
        let Some(at) = self.ssh else { return Ok(()) };
        let log = self.log.clone();
        tokio::select! {
            () = keys.install(at, program, |words| log::say(&log, words)) => Ok(()),
            status = self.process.wait() => Err(self.died(status)),
        }
    }

    /// Waits until the console shows that the guest is up, which is all that can be seen of a service without a port.
    pub(super) async fn up(&mut self) -> Result<(), DeployError> {
        let mut seen = self.seen.clone();
        let told = seen.wait_for(|seen| seen.ready.is_some() || seen.panic.is_some());
        let told = tokio::select! {
            told = told => told.ok().map(|seen| (seen.ready.is_some(), seen.panic.clone())),
            _ = self.process.wait() => None,
        };
        match told {
            Some((true, _)) => Ok(()),
            Some((false, panic)) => Err(refused(format!(
                "the guest of service {} panicked: {}",
                self.mark.service,
                panic.unwrap_or_default()
            ))),
            None => Err(refused(format!(
                "the guest of service {} ended before it was up: {}",
                self.mark.service,
                log::tail(&self.log)
            ))),
        }
    }

    fn died(&self, status: io::Result<ExitStatus>) -> DeployError {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        refused(format!(
            "{} for service {} exited immediately ({status}): {}",
            self.vmm.word(),
            self.mark.service,
            log::tail(&self.log)
        ))
    }

    /// The address of OSv's REST API, if it has one.
    pub(super) const fn rest(&self) -> Option<SocketAddr> {
        self.rest
    }

    /// The host threads that execute the virtual CPUs.
    pub(super) fn vcpus(&self) -> &[Vcpu] {
        &self.vcpus
    }

    /// How it ended, if it has.
    pub(super) const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The virtiofsd processes that serve it.
    pub(super) fn parts(&self) -> Vec<Part> {
        let parts = |share: &Served| share.parts(&self.mark.service);
        self.shares.iter().flat_map(parts).collect()
    }

    /// All of its processes, wherever they went.
    fn members(&self) -> Vec<u32> {
        unit::members(&self.mark, self.process.pid(), self.cgroup.as_ref())
    }

    /// The guest's memory, bytes.
    pub(super) const fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// The host interface that it is connected to; `None`: it has none of its own.
    pub(super) fn interface(&self) -> Option<String> {
        self.tap.as_ref().map(Tap::name)
    }

    /// The state of the console, and its changes.
    pub(super) fn console(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }
}

fn refused(message: String) -> DeployError {
    DeployError::Platform {
        platform: "qemu",
        message,
    }
}
