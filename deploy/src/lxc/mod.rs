//! `lxc`: a service is an LXC container whose root file system holds the static workload, or the program of a description with its libraries, and nothing
//! else.
//!
//! ```text
//! runner ── lxc-start (monitor, overhead) ── /workload (service)      cgroup   jung-<runner>/<attempt>-<service>
//!                                             │ eth0                  monitor: ...-<service>.monitor, while it ends ...-<service>.pivot
//!                                             veth jt<hash>-<n> on the runner's bridge
//! ```
//! * `config` builds a container's configuration file. It is pure.
//! * `lxc-start` stays in the foreground as the runner's child. It monitors one container and ends with it. The service's output does not pass through it,
//!   but goes straight to the log. If it is killed, the kernel kills the container.
//! * How the service ended is only in LXC's own log; `lxc-start` exits with 0 in any case.
//!
//! LXC creates a cgroup in every hierarchy of the host, including those that nothing else here uses, and leaves some of them behind, as well as lock
//! files; `files` removes these.

mod config;
mod container;
mod files;
mod plan;
mod rootfs;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use protocol::facts::PlatformFacts;
use protocol::spec::PlatformKind;

use crate::cgroup::{self, Layout};
use crate::deployment::start_all;
use crate::mark::{self, Mark};
use crate::network::bridge::Bridge;
use crate::programs::{self, find};
use crate::service::sweep_dirs;
use crate::{DeployError, Deployment, DeploymentSpec, Driver, Host, HostGateway, cleanup, limits};

use config::{STARTER, SharedConfig};
use container::Container;
use plan::ContainerPlan;

/// How to install LXC.
const REMEDY: &str = "run deploy/setup.sh lxc (Debian: lxc)";

/// The driver for LXC containers.
#[derive(Debug)]
pub struct Lxc {
    host: Host,
    layout: Option<Layout>,
    /// What was prepared for the next deployment, by container.
    plans: Mutex<BTreeMap<String, ContainerPlan>>,
}

impl Lxc {
    /// A driver for this host. Reads where cgroups are mounted, and changes nothing.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            layout: Layout::of_this_host(),
            plans: Mutex::default(),
        }
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<String, ContainerPlan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of its files.
    fn directory(&self) -> PathBuf {
        self.host.state.join("lxc")
    }

    /// Where each container has a directory.
    fn containers(&self) -> PathBuf {
        self.directory().join("containers")
    }

    fn layout(&self) -> Result<&Layout, DeployError> {
        self.layout.as_ref().ok_or_else(|| DeployError::Unmet {
            need: "LXC needs cgroups, and this host has none".into(),
            remedy: "mount cgroup2 at /sys/fs/cgroup".into(),
        })
    }

    async fn facts(&self, details: &mut BTreeMap<String, String>) -> Result<(), DeployError> {
        let starter = find(STARTER, REMEDY)?;
        details.insert("lxc".into(), programs::version_or_unknown(&starter).await);
        details.insert("cgroup".into(), format!("v{}", self.layout()?.version()));
        details.insert("bridge".into(), Bridge::of(&self.host.runner).name());
        if let Some(profile) = config::seccomp() {
            details.insert("seccomp".into(), profile.display().to_string());
        }
        let root = rootfs::path(&self.directory(), &self.host.workload).await?;
        details.insert("rootfs".into(), root.display().to_string());
        if !nix::unistd::geteuid().is_root() {
            return Err(DeployError::Unmet {
                need: "LXC containers on the runner's bridge need root".into(),
                remedy: "run the runner as root".into(),
            });
        }
        Ok(())
    }
}

impl Driver for Lxc {
    async fn probe(&self) -> PlatformFacts {
        let mut details = BTreeMap::new();
        let unmet = self
            .facts(&mut details)
            .await
            .err()
            .map(|error| error.into_unmet("see docs/platforms.md for what LXC needs"));
        PlatformFacts {
            kind: PlatformKind::Lxc,
            unmet,
            details,
        }
    }

    async fn host_gateway(&self) -> Result<Option<HostGateway>, DeployError> {
        HostGateway::on_bridge(&self.host.runner).map(Some)
    }

    async fn prepare(&self, spec: &DeploymentSpec) -> Result<(), DeployError> {
        for service in &spec.services {
            let mark = Mark::of(&self.host.runner, spec.attempt, service);
            let plan = ContainerPlan::new(&self.host, &self.directory(), service, &mark).await?;
            self.plans().insert(mark.container(), plan);
        }
        Ok(())
    }

    async fn start(&self, spec: &DeploymentSpec) -> Result<Deployment, DeployError> {
        let called = Instant::now();
        limits::check(&spec.resources)?;
        let shared = SharedConfig {
            starter: find(STARTER, REMEDY)?,
            layout: self.layout()?.clone(),
            containers: self.containers(),
            bridge: Bridge::of(&self.host.runner),
            resources: spec.resources.clone(),
            logs: spec.logs.clone(),
        };
        let mut services = Vec::new();
        for service in &spec.services {
            let mark = Mark::of(&self.host.runner, spec.attempt, service);
            let prepared = self.plans().remove(&mark.container());
            let plan = match prepared {
                Some(plan) => plan,
                None => ContainerPlan::new(&self.host, &self.directory(), service, &mark).await?,
            };
            services.push((mark, service, plan));
        }
        let services = services.into_iter();
        let starting = services.map(|(mark, service, plan)| Container::start(&shared, mark, service, plan));
        Ok(Deployment::new(called, spec.grace, start_all(starting).await?))
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        let mut found = cleanup::kill_marked(&self.host.runner).await;
        let (runner, containers, layout) = (self.host.runner.clone(), self.containers(), self.layout.clone());
        let swept = tokio::task::spawn_blocking(move || {
            let group = mark::cgroup_group(&runner);
            let mut found = layout.map(|layout| cgroup::sweep(&layout, &group)).unwrap_or_default();
            found.extend(files::sweep(&containers));
            found.extend(Bridge::of(&runner).sweep());
            found
        });
        found.extend(swept.await.unwrap_or_default());
        found.extend(sweep_dirs(&self.host.state).await);
        Ok(found)
    }
}
