//! One service as a process with its cgroup.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use nix::unistd::User;
use protocol::size::Part;
use protocol::spec::Transport;
use protocol::summary::Exit;

use crate::cgroup::{self, Cgroup, Layout};
use crate::deployment::{Instance, InstanceStopped, Started};
use crate::first_output::OutputWatch;
use crate::mark::Mark;
use crate::process::{self, Launch, Process};
use crate::service::{Described, PreparedDirs, Program, Service, ServiceDir, dir_path};
use crate::{DeployError, DeploymentSpec, Host, Processes, cleanup, limits, network, size};

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
    /// Its files, if it is described. Dropped after the process is killed.
    dir: Option<ServiceDir>,
}

impl NativeService {
    /// Starts a service. On error nothing of it is left.
    pub(super) fn start(
        host: &Host,
        layout: Option<&Layout>,
        deployment: &DeploymentSpec,
        service: &Service,
        (listen, prepared): (Option<SocketAddr>, &PreparedDirs),
    ) -> Result<Self, DeployError> {
        let mark = Mark::of(&host.runner, deployment.attempt, service);
        let Command {
            program,
            args,
            env,
            directory,
            user,
            dir,
        } = Command::of(host, &mark, service, listen, prepared)?;
        let log = deployment.logs.join(format!("{}.log", service.name));
        let output = OutputWatch::create(&log);
        let (mut cgroup, mut deviations) = cgroup::for_service(layout, &mark, &deployment.resources);
        let mut environment = vec![(
            "PATH".to_owned(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        )];
        environment.extend(env);
        environment.extend(mark.environment().map(|(name, value)| (name.to_owned(), value)));
        let launch = |cgroup: &Option<Cgroup>| {
            Ok(Launch {
                cgroup_procs: cgroup.as_ref().map_or_else(|| Ok(Vec::new()), Cgroup::procs_files)?,
                affinity: deployment.resources.cpuset.as_ref().and_then(limits::affinity),
                mems: deployment.resources.mems.as_ref().map(limits::nodemask),
                directory: directory.clone(),
                user: user.as_ref().map(|user| (user.uid, user.gid)),
                ..Launch::new(program.clone(), args.clone(), environment.clone(), log.clone())
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
                transport: service.transport(),
                process,
                exists_since: Instant::now(),
                program,
                cgroup,
                output,
                deviations,
                stopped: false,
                dir,
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
            let written = self.dir.as_ref().map(ServiceDir::written);
            leftovers.extend(self.dir.take().and_then(ServiceDir::remove));
            self.stopped = true;
            let program = size::file(Part::Program, &self.program);
            InstanceStopped {
                exit,
                leftovers,
                sizes: program.into_iter().chain(written).collect(),
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

/// What is started for a service.
struct Command {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    directory: PathBuf,
    user: Option<User>,
    dir: Option<ServiceDir>,
}

impl Command {
    fn of(
        host: &Host,
        mark: &Mark,
        service: &Service,
        listen: Option<SocketAddr>,
        prepared: &PreparedDirs,
    ) -> Result<Self, DeployError> {
        let Program::Described(described) = &service.program else {
            return Ok(Self {
                program: absolute(&host.workload)?,
                args: service.workload_args(listen),
                env: Vec::new(),
                directory: "/".into(),
                user: None,
                dir: None,
            });
        };
        let dir = match prepared.take(&dir_path(&host.state, mark)?) {
            Some(dir) => dir,
            None => write_files(host, mark, service, described, listen)?,
        };
        let values = described.values(service.name.as_str(), listen, dir.path());
        let launchable = described.launchable(&values, dir.path())?;
        Ok(Self {
            program: launchable.program,
            args: launchable.args,
            env: launchable.env,
            directory: launchable.directory,
            user: described.host_user()?,
            dir: Some(dir),
        })
    }
}

/// Writes the files of a described service. They belong to the user that it runs as.
pub(super) fn write_files(
    host: &Host,
    mark: &Mark,
    service: &Service,
    described: &Described,
    listen: Option<SocketAddr>,
) -> Result<ServiceDir, DeployError> {
    let path = dir_path(&host.state, mark)?;
    let values = described.values(service.name.as_str(), listen, &path);
    described.launchable(&values, &path)?;
    let user = described.host_user()?;
    let dir = ServiceDir::create(path, described, &values, user.as_ref())?;
    match &user {
        Some(user) => check_access(dir.path(), user).map(|()| dir),
        None => Ok(dir),
    }
}

/// Checks that a user can reach a directory: that every directory above it can be entered.
fn check_access(dir: &Path, user: &User) -> Result<(), DeployError> {
    let is_closed = |above: &&Path| {
        let Ok(metadata) = above.metadata() else { return false };
        let enters = if metadata.uid() == user.uid.as_raw() {
            0o100
        } else if metadata.gid() == user.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        metadata.mode() & enters == 0
    };
    match dir.ancestors().find(is_closed) {
        None => Ok(()),
        Some(closed) => Err(DeployError::Unmet {
            need: format!(
                "user {} cannot enter {}, below which the service's files are",
                user.name,
                closed.display()
            ),
            remedy: "choose another state folder (--state), or remove `user` from the description".into(),
        }),
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
