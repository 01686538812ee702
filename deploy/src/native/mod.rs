//! `native`: a service is a process of the host in its own process group and, where allowed, its own cgroup.

mod service;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use futures_util::TryFutureExt as _;
use protocol::facts::{PlatformFacts, Unmet};
use protocol::ids::{AttemptId, Name};
use protocol::spec::PlatformKind;
use protocol::summary::Exit;

use crate::binary::Binary;
use crate::cgroup::{self, Layout};
use crate::deployment::start_all;
use crate::mark::{self, Mark};
use crate::process::{self, Launch, Process};
use crate::service::{PreparedDirs, Program, Service, sweep_dirs};
use crate::{DeployError, Deployment, DeploymentSpec, Driver, Host, cleanup, limits, network};

use service::{NativeService, absolute};

/// The driver for processes of the host.
#[derive(Clone, Debug)]
pub struct Native {
    host: Host,
    layout: Option<Layout>,
    /// Files that were written for the next deployment.
    prepared: PreparedDirs,
}

impl Native {
    /// A driver for this host. Reads where cgroups are mounted, and changes nothing.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            layout: Layout::of_this_host(),
            prepared: PreparedDirs::default(),
        }
    }

    /// A driver that uses no cgroups, as on a host that allows none.
    #[must_use]
    pub fn without_cgroups(host: &Host) -> Self {
        Self {
            host: host.clone(),
            layout: None,
            prepared: PreparedDirs::default(),
        }
    }

    /// Where a service listens.
    fn listen(&self, service: &Service) -> Option<SocketAddr> {
        let port = service.port?;
        Some(network::listen_address(self.host.address, port))
    }
}

impl Driver for Native {
    async fn probe(&self) -> PlatformFacts {
        let mut details = BTreeMap::new();
        let layout = self
            .layout
            .as_ref()
            .map_or("none".into(), |layout| format!("v{}", layout.version()));
        details.insert("cgroup".into(), layout);
        details.insert("workload".into(), self.host.workload.display().to_string());
        let unmet = match Binary::read(&self.host.workload).await {
            Ok(binary) => {
                details.insert("workload_sha256".into(), binary.sha256().into());
                details.insert("workload_linking".into(), binary.linking().into());
                None
            }
            Err(error) => Some(unmet(&self.host.workload, &error)),
        };
        PlatformFacts {
            kind: PlatformKind::Native,
            unmet,
            details,
        }
    }

    /// Writes the files of described services.
    async fn prepare(&self, spec: &DeploymentSpec) -> Result<(), DeployError> {
        let (driver, spec) = (self.clone(), spec.clone());
        let write = move || {
            for service in &spec.services {
                let Program::Described(described) = &service.program else {
                    let workload = &driver.host.workload;
                    std::fs::metadata(workload).map_err(|source| DeployError::Io {
                        what: format!("reading the workload program {}", workload.display()),
                        source,
                    })?;
                    continue;
                };
                let mark = Mark::of(&driver.host.runner, spec.attempt, service);
                let listen = driver.listen(service);
                let dir = service::write_files(&driver.host, &mark, service, described, listen)?;
                driver.prepared.put(dir);
            }
            Ok(())
        };
        let written = tokio::task::spawn_blocking(write).await;
        written.unwrap_or_else(|fault| Err(panicked(&fault)))
    }

    async fn start(&self, spec: &DeploymentSpec) -> Result<Deployment, DeployError> {
        let called = Instant::now();
        limits::check(&spec.resources)?;
        let listeners: Vec<_> = spec
            .services
            .iter()
            .map(|service| (service, self.listen(service)))
            .collect();
        network::check_ports(
            listeners
                .iter()
                .filter_map(|&(service, listen)| Some((service, listen?))),
        )?;
        // Each on its own thread: joining a cgroup waits for the kernel, and should not delay the next service.
        let starting = listeners.into_iter().map(|(service, listen)| {
            let (host, layout) = (self.host.clone(), self.layout.clone());
            let (spec, service, prepared) = (spec.clone(), service.clone(), self.prepared.clone());
            let start = move || NativeService::start(&host, layout.as_ref(), &spec, &service, (listen, &prepared));
            tokio::task::spawn_blocking(start).unwrap_or_else(|fault| Err(panicked(&fault)))
        });
        Ok(Deployment::new(called, spec.grace, start_all(starting).await?))
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        let mut found = cleanup::kill_marked(&self.host.runner).await;
        found.extend(sweep_dirs(&self.host.state).await);
        if let Some(layout) = self.layout.clone() {
            let group = mark::cgroup_group(&self.host.runner);
            let swept = tokio::task::spawn_blocking(move || cgroup::sweep(&layout, &group)).await;
            found.extend(swept.unwrap_or_default());
        }
        Ok(found)
    }
}

/// Runs the workload program with these arguments until it ends, without limits; its output goes to `<logs>/<name>.log`. It carries the runner's mark,
/// and is killed when the future is dropped.
///
/// # Errors
/// [`DeployError::Io`] if it cannot be started, or its exit status is not known.
pub async fn run_to_completion(
    host: &Host,
    attempt: AttemptId,
    name: &Name,
    args: &[String],
    logs: &Path,
) -> Result<Exit, DeployError> {
    let program = absolute(&host.workload)?;
    let mark = Mark {
        runner: host.runner.clone(),
        attempt,
        service: name.clone(),
    };
    let failed = |source| DeployError::Io {
        what: format!("running {} for {name}", program.display()),
        source,
    };
    let mut process = Process::spawn(Launch::new(
        program.clone(),
        args.to_vec(),
        mark.environment(),
        logs.join(format!("{name}.log")),
    ))
    .map_err(failed)?;
    let status = process.wait().await.map_err(failed)?;
    Ok(process::exit(status, false, false))
}

fn panicked(fault: &tokio::task::JoinError) -> DeployError {
    DeployError::Platform {
        platform: "native",
        message: format!("the start panicked: {fault}"),
    }
}

fn unmet(workload: &Path, error: &DeployError) -> Unmet {
    Unmet {
        need: error.to_string(),
        remedy: format!(
            "build it with deploy/build-workload.sh, or set `workload` to the right file instead of {}",
            workload.display()
        ),
    }
}
