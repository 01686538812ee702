//! One service as a process with its cgroup.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use protocol::size::Part;
use protocol::spec::{ServiceSpec, Transport};
use protocol::summary::Exit;

use crate::cgroup::{self, Cgroup, Layout};
use crate::deployment::{Instance, InstanceStopped, Started};
use crate::first_output::OutputWatch;
use crate::mark::Mark;
use crate::process::{self, Launch, Process};
use crate::{DeployError, DeploymentSpec, Host, Processes, cleanup, limits, network, service_args, size};

/// One service as a process. Dropping it kills the process and its descendants.
#[derive(Debug)]
pub(super) struct NativeService {
    mark: Mark,
    endpoint: Option<SocketAddr>,
    listen: Option<SocketAddr>,
    transport: Transport,
    process: Process,
    exists_since: Instant,
    program: PathBuf,
    cgroup: Option<Cgroup>,
    /// `None`: its output cannot be watched.
    output: Option<OutputWatch>,
    deviations: Vec<String>,
    stopped: bool,
}

impl NativeService {
    /// Starts a service. On error nothing of it is left.
    pub(super) fn start(
        host: &Host,
        layout: Option<&Layout>,
        deployment: &DeploymentSpec,
        service: &ServiceSpec,
        listen: Option<SocketAddr>,
    ) -> Result<Self, DeployError> {
        let mark = Mark::of(&host.runner, deployment.attempt, service);
        let program = absolute(&host.workload)?;
        let log = deployment.logs.join(format!("{}.log", service.name));
        let output = OutputWatch::create(&log);
        let (mut cgroup, mut deviations) = cgroup::for_service(layout, &mark, &deployment.resources);
        let mut environment = vec![(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        )];
        environment.extend(mark.environment());
        let launch = |cgroup: &Option<Cgroup>| {
            let args = service_args(service, listen);
            Ok(Launch {
                cgroup_procs: cgroup.as_ref().map_or_else(|| Ok(Vec::new()), Cgroup::procs_files)?,
                affinity: deployment.resources.cpuset.as_ref().and_then(limits::affinity),
                mems: deployment.resources.mems.as_ref().map(limits::nodemask),
                ..Launch::new(program.clone(), args, environment.clone(), log.clone())
            })
        };
        let mut outcome = launch(&cgroup).and_then(Process::spawn);
        // cgroup v2 lets a user open `cgroup.procs` of a delegated cgroup, and still refuses to move a process into it from outside.
        if let (Err(error), Some(unusable)) = (&outcome, cgroup.take_if(|_| is_denied(&outcome))) {
            let _ = unusable.remove(Duration::ZERO);
            deviations = cgroup::without_cgroup(&deployment.resources, &format!("joining its cgroup failed: {error}"));
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

impl Instance for NativeService {
    fn started(&self, called: Instant) -> Started {
        Started {
            service: self.mark.service.clone(),
            endpoint: self.endpoint,
            process_after: self.exists_since.saturating_duration_since(called),
            pid: self.process.pid(),
        }
    }

    fn processes(&self) -> Processes {
        cgroup::processes(self.cgroup.as_ref(), self.process.pid())
    }

    fn first_output(&self) -> Option<Instant> {
        self.output.as_ref()?.at()
    }

    fn deviations(&self) -> &[String] {
        &self.deviations
    }

    fn ended(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            let status = self.process.wait().await;
            self.exit(status)
        })
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, InstanceStopped> {
        Box::pin(async move {
            let (mark, pid, cgroup) = (self.mark.clone(), self.process.pid(), self.cgroup.as_ref());
            let processes = || cleanup::service_processes(&mark, pid, cgroup);
            let status = self.process.end(grace, processes).await;
            let mut leftovers = cleanup::kill_service(&mark, pid, cgroup).await;
            let exit = self.exit(status);
            if let Some(cgroup) = self.cgroup.take() {
                leftovers.extend(cleanup::remove_cgroup(cgroup).await);
            }
            let taken = |&listen: &SocketAddr| network::is_taken(self.transport, listen);
            if let Some(listen) = self.listen.filter(taken) {
                leftovers.push(format!("port {listen} of {}", mark.service));
            }
            self.stopped = true;
            InstanceStopped {
                exit,
                leftovers,
                sizes: size::file(Part::Program, &self.program).into_iter().collect(),
            }
        })
    }
}

impl Drop for NativeService {
    fn drop(&mut self) {
        if !self.stopped {
            cleanup::kill_service_detached(&self.mark, self.process.pid(), self.cgroup.take());
        }
    }
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
