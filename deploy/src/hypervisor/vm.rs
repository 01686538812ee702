//! A running virtual machine: its hypervisor, monitor, console, cgroup, tap and files.

mod channels;
mod end;
mod vcpu_threads;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use protocol::facts::ImageRecord;
use protocol::ids::Name;
use protocol::size::Size;
use protocol::spec::Resources;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::console::{ConsoleState, Patterns};
use super::files::GuestFiles;
use super::qmp::{Qmp, QmpEvent, Vcpu};
use super::spec::{Accelerator, VmSpec};
use super::ssh::Keys;
use super::virtiofsd::{Virtiofsd, VirtiofsdConfig};
use super::{micro, qemu};
use crate::cgroup::{self, Cgroup, Layout};
use crate::guest::{GuestEnd, Share, Stop, Vmm};
use crate::mark::Mark;
use crate::network::bridge::Tap;
use crate::process::{Launch, Process};
use crate::{DeployError, limits, log};

use channels::{Channels, Socket};

/// How long QEMU may take to connect: it loads its firmware and the guest's files first.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a hypervisor may take to quit when told to, or after its guest has panicked.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the console may take to close after the hypervisor has ended.
const CONSOLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The programs that a guest needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Programs<'a> {
    /// The hypervisor.
    pub(super) vmm: &'a Path,
    /// virtiofsd, if the guest has shares.
    pub(super) virtiofsd: Option<&'a Path>,
}

/// What a VM is started with, and owns from then on.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// The programs.
    pub(super) programs: Programs<'a>,
    /// Its mark.
    pub(super) mark: Mark,
    /// Its specification; the channels are filled in when it starts.
    pub(super) spec: VmSpec,
    /// The directories that are shared with it.
    pub(super) shares: Vec<Share>,
    /// The runner's state directory.
    pub(super) state: &'a Path,
    /// The console lines that matter.
    pub(super) patterns: Patterns,
    /// How it is asked to stop.
    pub(super) stop_method: Stop,
    /// The host's cgroup layout.
    pub(super) layout: Option<&'a Layout>,
    /// Limits of the hypervisor process. Memory is limited by the VM's own size instead.
    pub(super) resources: Resources,
    /// The log of the hypervisor's messages and the console.
    pub(super) log: PathBuf,
    /// The service's endpoint, if it listens.
    pub(super) endpoint: Option<SocketAddr>,
    /// The port of this host that is forwarded to it.
    pub(super) forward: Option<SocketAddr>,
    /// The address of its SSH server, if the runner logs in.
    pub(super) ssh: Option<SocketAddr>,
    /// The address of OSv's REST API, if it has one.
    pub(super) osv_api: Option<SocketAddr>,
    /// Its tap.
    pub(super) tap: Option<Tap>,
    /// The sizes of what it boots from.
    pub(super) sizes: Vec<Size>,
    /// The image that was built for it, if its service is described.
    pub(super) record: Option<ImageRecord>,
    /// Its files.
    pub(super) files: GuestFiles,
}

impl Start<'_> {
    /// Starts a virtiofsd for each share; returns them with QEMU's connections to them.
    fn start_virtiofsd(&self) -> Result<(Vec<Virtiofsd>, Vec<OwnedFd>), DeployError> {
        let Some(program) = self.programs.virtiofsd else {
            return Ok((Vec::new(), Vec::new()));
        };
        let config = VirtiofsdConfig {
            program,
            mark: &self.mark,
            state: self.state,
            log: &self.log,
            affinity: self.resources.cpuset.as_ref().and_then(limits::affinity),
            mems: self.resources.mems.as_ref().map(limits::nodemask),
        };
        let started: Result<Vec<_>, _> = self
            .shares
            .iter()
            .map(|share| Virtiofsd::start(&config, share))
            .collect();
        Ok(started?.into_iter().unzip())
    }
}

/// A running virtual machine. Dropping it kills it and removes what belongs to it.
#[derive(Debug)]
pub(super) struct Vm {
    mark: Mark,
    process: Process,
    exists_since: Instant,
    shares: Vec<Virtiofsd>,
    vmm: Vmm,
    /// The socket that QEMU's monitor connects to.
    monitor: Option<Socket>,
    qmp: Option<Qmp>,
    events: Option<watch::Receiver<Vec<QmpEvent>>>,
    console_state: watch::Receiver<ConsoleState>,
    console: JoinHandle<()>,
    vcpus: Vec<Vcpu>,
    memory_bytes: u64,
    accelerator: Accelerator,
    stop_method: Stop,
    log: PathBuf,
    endpoint: Option<SocketAddr>,
    forward: Option<SocketAddr>,
    ssh: Option<SocketAddr>,
    osv_api: Option<SocketAddr>,
    sizes: Vec<Size>,
    record: Option<ImageRecord>,
    cgroup: Option<Cgroup>,
    deviations: Vec<String>,
    end: Option<GuestEnd>,
    /// How a virtiofsd that serves it ended before it.
    share_failure: Option<String>,
    /// When a guest whose virtiofsd has ended is killed.
    unserved_deadline: Option<Instant>,
    /// When a guest that has panicked is killed.
    panic_deadline: Option<Instant>,
    /// It was told to stop by a signal, and did.
    told_to_quit: bool,
    stopped: bool,
    // Dropped after the process, which must be killed first: a tap in use cannot be removed.
    tap: Option<Tap>,
    files: GuestFiles,
}

impl Vm {
    /// Starts the hypervisor and returns once its process exists. The guest is not up yet, and QEMU's monitor not connected.
    pub(super) fn start(start: Start<'_>) -> Result<Self, DeployError> {
        let failed = |what: &str| {
            let what = format!("{what} for the guest of service {}", start.mark.service);
            move |source| DeployError::Io { what, source }
        };
        let (shares, mut connections) = start.start_virtiofsd()?;
        let mut spec = start.spec;
        let Channels {
            monitor,
            console,
            output,
            events,
        } = Channels::open(&mut spec).map_err(failed("creating a socket"))?;
        let (cgroup, deviations) = cgroup::for_service(start.layout, &start.mark, &start.resources);
        spec.shares = shares
            .iter()
            .zip(&connections)
            .map(|(share, connection)| share.vm_share(connection))
            .collect();
        let events = events.map(|(near, far)| {
            connections.push(far);
            channels::watch_resets(near)
        });
        let mut environment = vec![("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())];
        environment.extend(start.mark.environment());
        let spawned = cgroup
            .as_ref()
            .map_or_else(|| Ok(Vec::new()), Cgroup::procs_files)
            .and_then(|cgroup_procs| {
                Process::spawn(Launch {
                    output,
                    cgroup_procs,
                    affinity: start.resources.cpuset.as_ref().and_then(limits::affinity),
                    mems: start.resources.mems.as_ref().map(limits::nodemask),
                    inherited: connections,
                    ..Launch::new(
                        start.programs.vmm.to_owned(),
                        args(&spec),
                        environment,
                        start.log.clone(),
                    )
                })
            });
        let process = spawned.map_err(|source| {
            if let Some(cgroup) = &cgroup {
                let _ = cgroup.remove(Duration::ZERO);
            }
            failed(&format!("starting {}", start.programs.vmm.display()))(source)
        })?;
        let (sender, console_state) = watch::channel(ConsoleState::default());
        let reader = console.follow(process.pid(), start.patterns, sender, start.log.clone());
        Ok(Self {
            mark: start.mark,
            process,
            exists_since: Instant::now(),
            shares,
            vmm: spec.vmm,
            monitor,
            qmp: None,
            events,
            console_state,
            console: tokio::spawn(reader),
            vcpus: Vec::new(),
            memory_bytes: spec.memory_mib << 20,
            accelerator: spec.accelerator,
            stop_method: start.stop_method,
            log: start.log,
            endpoint: start.endpoint,
            forward: start.forward,
            ssh: start.ssh,
            osv_api: start.osv_api,
            sizes: start.sizes,
            record: start.record,
            cgroup,
            deviations,
            end: None,
            share_failure: None,
            unserved_deadline: None,
            panic_deadline: None,
            told_to_quit: false,
            stopped: false,
            tap: start.tap,
            files: start.files,
        })
    }

    /// Connects to QEMU's monitor and verifies the acceleration. Other hypervisors have no monitor: waits for their vCPU threads instead.
    pub(super) async fn handshake(&mut self) -> Result<(), DeployError> {
        let outcome = self.connect().await;
        // Without its virtiofsd QEMU fails to start, and its error message does not name the reason.
        outcome.map_err(|error| match self.shares.iter_mut().find_map(Virtiofsd::failure) {
            Some(why) => hypervisor_error(format!(
                "{why}; the guest of service {} depends on it",
                self.mark.service
            )),
            None => error,
        })
    }

    async fn connect(&mut self) -> Result<(), DeployError> {
        let pid = self.process.pid();
        let Some(monitor) = &self.monitor else {
            let vcpus = tokio::select! {
                vcpus = timeout(CONNECT_TIMEOUT, vcpu_threads::wait_for(pid)) => vcpus,
                status = self.process.wait() => return Err(self.exited_immediately(status)),
            };
            let timed_out = || hypervisor_error(format!("{} started no vCPU thread in time", self.vmm.name()));
            self.vcpus = vcpus.map_err(|_| timed_out())?;
            return Ok(());
        };
        let stream = tokio::select! {
            stream = timeout(CONNECT_TIMEOUT, monitor.accept(pid)) => stream,
            status = self.process.wait() => return Err(self.exited_immediately(status)),
        };
        let stream = stream.map_err(|_| hypervisor_error("QEMU did not connect to its monitor in time".into()))?;
        let (from, to) = stream
            .map_err(|error| hypervisor_error(error.to_string()))?
            .into_split();
        match self.negotiate(from, to).await {
            Ok(()) => Ok(()),
            Err(error) => Err(match timeout(QUIT_TIMEOUT, self.process.wait()).await {
                Ok(status) => self.exited_immediately(status),
                Err(_) => hypervisor_error(error),
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
    pub(super) async fn install_program(&mut self, keys: &Keys, program: &Path) -> Result<(), DeployError> {
        let Some(at) = self.ssh else { return Ok(()) };
        let log = self.log.clone();
        tokio::select! {
            () = keys.install(at, program, |error| log::append(&log, error)) => Ok(()),
            status = self.process.wait() => Err(self.exited_immediately(status)),
        }
    }

    /// Waits until the console shows that the guest is up, which is all that can be seen of a service without a port.
    pub(super) async fn wait_until_up(&mut self) -> Result<(), DeployError> {
        let mut console = self.console_state.clone();
        let up = console.wait_for(|state| state.ready.is_some() || state.panic.is_some());
        let outcome = tokio::select! {
            state = up => state.ok().map(|state| (state.ready.is_some(), state.panic.clone())),
            _ = self.process.wait() => None,
        };
        match outcome {
            Some((true, _)) => Ok(()),
            Some((false, panic)) => Err(hypervisor_error(format!(
                "the guest of service {} panicked: {}",
                self.mark.service,
                panic.unwrap_or_default()
            ))),
            None => Err(hypervisor_error(format!(
                "the guest of service {} ended before it was up: {}",
                self.mark.service,
                log::tail(&self.log)
            ))),
        }
    }

    fn exited_immediately(&self, status: io::Result<ExitStatus>) -> DeployError {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        hypervisor_error(format!(
            "{} for service {} exited immediately ({status}): {}",
            self.vmm.name(),
            self.mark.service,
            log::tail(&self.log)
        ))
    }

    /// Its service.
    pub(super) const fn service(&self) -> &Name {
        &self.mark.service
    }

    /// The address of OSv's REST API, if it has one.
    pub(super) const fn osv_api(&self) -> Option<SocketAddr> {
        self.osv_api
    }

    /// The state of the console, and its changes.
    pub(super) fn console(&self) -> watch::Receiver<ConsoleState> {
        self.console_state.clone()
    }
}

fn hypervisor_error(message: String) -> DeployError {
    DeployError::Platform {
        platform: "hypervisor",
        message,
    }
}

/// The arguments of the hypervisor.
fn args(spec: &VmSpec) -> Vec<String> {
    match spec.vmm {
        Vmm::Qemu => qemu::args(spec),
        Vmm::CloudHypervisor => micro::cloud_hypervisor(spec),
        Vmm::Firecracker => micro::firecracker(spec.config.as_deref().unwrap_or(Path::new("/dev/null"))),
    }
}
