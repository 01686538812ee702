//! One service as a process with its cgroup.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use protocol::ids::Name;
use protocol::size::Part;
use protocol::spec::{Resources, ServiceSpec, Transport};
use protocol::summary::Exit;

use crate::cgroup::{Cgroup, Layout};
use crate::first_output::Watch;
use crate::mark::{self, Mark};
use crate::member::{Gone, Member};
use crate::process::{self, Launch, Process};
use crate::procfs::Procfs;
use crate::{DeployError, Deployment, Host, Processes, limits, network, service_args, size};

/// How long a cgroup may take to become removable after its processes were killed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// One service as a process. Dropping it kills the process and its descendants.
#[derive(Debug)]
pub(super) struct Unit {
    mark: Mark,
    endpoint: Option<SocketAddr>,
    listen: Option<SocketAddr>,
    transport: Transport,
    process: Process,
    exists_since: Instant,
    program: PathBuf,
    cgroup: Option<Cgroup>,
    /// `None`: its output cannot be watched.
    output: Option<Watch>,
    deviations: Vec<String>,
    reported: bool,
    stopped: bool,
}

impl Unit {
    /// Starts a service. On error nothing of it is left.
    pub(super) fn start(
        host: &Host,
        layout: Option<&Layout>,
        deployment: &Deployment,
        service: &ServiceSpec,
        listen: Option<SocketAddr>,
    ) -> Result<Self, DeployError> {
        let mark = Mark::of(&host.runner, deployment, service);
        let program = absolute(&host.workload)?;
        let log = deployment.logs.join(format!("{}.log", service.name));
        let output = watch(&log);
        let (mut cgroup, mut deviations) = make_cgroup(layout, &mark, &deployment.resources);
        let mut environment = vec![(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        )];
        environment.extend(mark.environment());
        let launch = |cgroup: &Option<Cgroup>| {
            Ok(Launch {
                program: program.clone(),
                args: service_args(service, listen),
                environment: environment.clone(),
                log: log.clone(),
                output: None,
                doors: cgroup.as_ref().map_or_else(|| Ok(Vec::new()), Cgroup::doors)?,
                affinity: deployment.resources.cpuset.as_ref().and_then(limits::affinity),
                mems: deployment.resources.mems.as_ref().map(limits::nodemask),
                inherited: Vec::new(),
                read_only: None,
            })
        };
        let mut outcome = launch(&cgroup).and_then(Process::spawn);
        // cgroup v2 lets a user open `cgroup.procs` of a delegated cgroup, and still refuses to move a process into it from outside.
        if let (Err(error), Some(unusable)) = (&outcome, cgroup.take_if(|_| is_denied(&outcome))) {
            let _ = unusable.remove(Duration::ZERO);
            deviations = without_cgroup(&deployment.resources, &format!("joining its cgroup failed: {error}"));
            outcome = launch(&None).and_then(Process::spawn);
        }
        match outcome {
            Ok(process) => Ok(Self {
                endpoint: service.port.map(|port| (host.address, port).into()),
                mark,
                listen,
                transport: service.ready.transport(),
                process,
                exists_since: Instant::now(),
                program,
                cgroup,
                output,
                deviations,
                reported: false,
                stopped: false,
            }),
            Err(source) => {
                if let Some(cgroup) = cgroup {
                    let _ = cgroup.remove(Duration::ZERO);
                }
                let what = format!("starting {} for service {}", program.display(), service.name);
                Err(DeployError::Io { what, source })
            }
        }
    }

    fn exit(&self, status: io::Result<std::process::ExitStatus>) -> Exit {
        let oom = self.cgroup.as_ref().is_some_and(|cgroup| cgroup.oom_kills() > 0);
        status.map_or(Exit::Unknown, |status| {
            process::exit(status, self.process.was_killed(), oom)
        })
    }
}

impl Member for Unit {
    fn service(&self) -> &Name {
        &self.mark.service
    }

    fn endpoint(&self) -> Option<SocketAddr> {
        self.endpoint
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn exists_since(&self) -> Instant {
        self.exists_since
    }

    /// The processes of its cgroup, or else the tree below its first process.
    fn processes(&self) -> Processes {
        match &self.cgroup {
            Some(cgroup) => cgroup.processes(self.pid()),
            None => Processes::Tree(self.pid()),
        }
    }

    fn first_output(&self) -> Option<Instant> {
        self.output.as_ref()?.at()
    }

    fn deviations(&self) -> &[String] {
        &self.deviations
    }

    fn is_reported(&self) -> bool {
        self.reported
    }

    async fn ended(&mut self) -> (Name, Exit) {
        let status = self.process.wait().await;
        self.reported = true;
        (self.mark.service.clone(), self.exit(status))
    }

    async fn stop(&mut self, grace: Duration) -> Gone {
        let (mark, pid, cgroup) = (self.mark.clone(), self.pid(), self.cgroup.as_ref());
        let members = || members(&mark, pid, cgroup);
        let status = self.process.end(grace, members).await;
        let mut left: Vec<String> = members()
            .iter()
            .map(|pid| format!("pid {pid} of {}", mark.service))
            .collect();
        let exit = self.exit(status);
        if let Some(cgroup) = self.cgroup.take() {
            left.extend(remove(cgroup).await);
        }
        let taken = |&listen: &SocketAddr| network::is_taken(self.transport, listen);
        if let Some(listen) = self.listen.filter(taken) {
            left.push(format!("port {listen} of {}", mark.service));
        }
        self.stopped = true;
        Gone {
            exit,
            left,
            sizes: size::file(Part::Program, &self.program).into_iter().collect(),
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if self.stopped {
            return;
        }
        members(&self.mark, self.pid(), self.cgroup.as_ref())
            .into_iter()
            .for_each(process::kill);
        if let Some(cgroup) = self.cgroup.take() {
            // The killed processes take a moment to leave the cgroup, and a destructor must not wait for them.
            std::thread::spawn(move || cgroup.remove(PATIENCE));
        }
    }
}

/// Creates a service's log file and watches it. If that fails, only the time of the first output is missing.
pub(crate) fn watch(log: &std::path::Path) -> Option<Watch> {
    let watched = process::open_log(log).and_then(|_| Watch::of(log));
    watched
        .inspect_err(|error| tracing::debug!(log = %log.display(), %error, "cannot watch the log for the first output"))
        .ok()
}

/// All live processes of a service: those in its process group and in its cgroup, and those that carry its mark wherever they went.
pub(crate) fn members(mark: &Mark, leader: u32, cgroup: Option<&Cgroup>) -> Vec<u32> {
    let procfs = Procfs::default();
    let mut pids = procfs.marked(|other| other == mark);
    pids.extend(procfs.group(leader));
    pids.extend(cgroup.map(Cgroup::pids).unwrap_or_default());
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Removes a cgroup once its processes have left it. Returns what could not be removed.
pub(crate) async fn remove(cgroup: Cgroup) -> Vec<String> {
    tokio::task::spawn_blocking(move || cgroup.remove(PATIENCE))
        .await
        .unwrap_or_default()
}

/// Creates a cgroup with these limits. Returns the limits that it cannot enforce.
pub(crate) fn make_cgroup(
    layout: Option<&Layout>,
    mark: &Mark,
    resources: &Resources,
) -> (Option<Cgroup>, Vec<String>) {
    let Some(layout) = layout else {
        return (None, without_cgroup(resources, "this host has no cgroups"));
    };
    match Cgroup::create(layout, &mark::cgroup_group(&mark.runner), &mark.cgroup(), resources) {
        Ok(cgroup) => {
            let deviations = cgroup.unkept().to_vec();
            (Some(cgroup), deviations)
        }
        Err(error) => (None, without_cgroup(resources, &format!("creating a cgroup failed: {error}"))),
    }
}

/// The limits that a service without a cgroup lacks.
fn unkept(resources: &Resources, why: &str) -> Vec<String> {
    let memory = resources
        .memory_mib
        .map(|mib| format!("no memory limit of {mib} MiB: {why}"));
    let cpus = resources
        .cpuset
        .as_ref()
        .map(|cpus| format!("CPUs {cpus} are set as an affinity only, which a service may change: {why}"));
    let mems = resources
        .mems
        .as_ref()
        .map(|mems| format!("NUMA nodes {mems} are set as a memory policy only, which a service may change: {why}"));
    memory.into_iter().chain(cpus).chain(mems).collect()
}

fn is_denied(outcome: &io::Result<Process>) -> bool {
    outcome
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Services run in `/`, so the program needs an absolute path.
pub(super) fn absolute(program: &std::path::Path) -> Result<PathBuf, DeployError> {
    std::path::absolute(program).map_err(|source| DeployError::Io {
        what: format!("finding {}", program.display()),
        source,
    })
}
