//! `lxc`: a service is a container of LXC, with nothing in its root file system but the static workload.
//!
//! ```text
//! runner ── lxc-start (monitor, overhead) ── /workload (service)      cgroup   jung-<runner>/<attempt>-<service>
//!                                             │ eth0                  monitor's …-<service>.monitor, at its end …-<service>.pivot
//!                                             veth jt<hash>-<n> on the runner's bridge
//! ```
//! * [`config`] is pure: what LXC is told of one container.
//! * [`config`] builds a container's configuration file. It is pure.
//! * `lxc-start` stays in the foreground as the runner's child. It monitors one container and ends with it. The service's output does not pass through it,
//!   but goes straight to the log. If it is killed, the kernel kills the container.
//! * How the service ended is only in LXC's own log; `lxc-start` exits with 0 in any case.
//!
//! LXC creates a cgroup in every hierarchy of the host, including those that nothing else here uses, and leaves some of them behind, as well as lock
//! files; [`files`] removes these.

mod config;
mod container;
mod end;
mod rootfs;
mod running;
mod trace;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use protocol::facts::{PlatformFacts, Unmet};
use protocol::spec::PlatformKind;

use crate::cgroup::{self, Layout};
use crate::mark::{self, Mark};
use crate::member::Members;
use crate::network::bridge::Bridge;
use crate::programs::{self, find};
use crate::{DeployError, Deployment, Door, Driver, Host, limits};

use container::{Container, Order};
pub use running::LxcRunning;

/// The program that starts a container and monitors it.
const STARTER: &str = "lxc-start";
/// How to install it.
const REMEDY: &str = "run deploy/setup.sh lxc (Debian: lxc)";

/// The driver for LXC containers.
#[derive(Debug)]
pub struct Lxc {
    host: Host,
    layout: Option<Layout>,
}

impl Lxc {
    /// A driver for this host. Reads where cgroups are mounted, and changes nothing.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            layout: Layout::of_this_host(),
        }
    }

    /// The directory of its files.
    fn folder(&self) -> PathBuf {
        self.host.state.join("lxc")
    }

    /// Where each container has a directory.
    fn containers(&self) -> PathBuf {
        self.folder().join("containers")
    }

    fn layout(&self) -> Result<&Layout, DeployError> {
        self.layout.as_ref().ok_or_else(|| DeployError::Unmet {
            need: "LXC needs cgroups, and this host has none".into(),
            remedy: "mount cgroup2 at /sys/fs/cgroup".into(),
        })
    }

    async fn facts(&self, details: &mut BTreeMap<String, String>) -> Result<(), DeployError> {
        let starter = find(STARTER, REMEDY)?;
        details.insert("lxc".into(), programs::version(&starter).await);
        details.insert("cgroup".into(), format!("v{}", self.layout()?.version()));
        details.insert("bridge".into(), Bridge::of(&self.host.runner).name());
        if let Some(profile) = config::seccomp() {
            details.insert("seccomp".into(), profile.display().to_string());
        }
        let root = rootfs::folder(&self.folder(), &self.host.workload).await?;
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
    type Running = LxcRunning;

    async fn probe(&self) -> PlatformFacts {
        let mut details = BTreeMap::new();
        let unmet = self.facts(&mut details).await.err().map(unmet);
        PlatformFacts {
            kind: PlatformKind::Lxc,
            unmet,
            details,
        }
    }

    async fn door(&self) -> Result<Option<Door>, DeployError> {
        let address = Bridge::of(&self.host.runner).host()?.into();
        Ok(Some(Door {
            bind: address,
            seen: address,
        }))
    }

    async fn prepare(&self, _deployment: &Deployment) -> Result<(), DeployError> {
        rootfs::make(&self.folder(), &self.host.workload).await.map(drop)
    }

    async fn start(&self, deployment: &Deployment) -> Result<LxcRunning, DeployError> {
        let from = Instant::now();
        limits::check(&deployment.resources)?;
        let order = Order {
            starter: find(STARTER, REMEDY)?,
            layout: self.layout()?.clone(),
            root: rootfs::make(&self.folder(), &self.host.workload).await?,
            containers: self.containers(),
            bridge: Bridge::of(&self.host.runner),
            resources: deployment.resources.clone(),
            logs: deployment.logs.clone(),
        };
        let starting = deployment.services.iter().map(|service| {
            let mark = Mark::of(&self.host.runner, deployment, service);
            Container::start(&order, mark, service)
        });
        let mut containers = Members::new(from, deployment.grace);
        containers.start(starting).await?;
        Ok(LxcRunning { containers })
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        let mut found = mark::kill_all(&self.host.runner).await;
        let (runner, containers, layout) = (self.host.runner.clone(), self.containers(), self.layout.clone());
        let swept = tokio::task::spawn_blocking(move || {
            let group = mark::cgroup_group(&runner);
            let mut found = layout.map(|layout| cgroup::sweep(&layout, &group)).unwrap_or_default();
            found.extend(trace::sweep(&containers));
            found.extend(Bridge::of(&runner).sweep());
            found
        });
        found.extend(swept.await.unwrap_or_default());
        Ok(found)
    }
}

fn unmet(error: DeployError) -> Unmet {
    match error {
        DeployError::Unmet { need, remedy } => Unmet { need, remedy },
        other => Unmet {
            need: other.to_string(),
            remedy: "see docs/platforms.md for what LXC needs".into(),
        },
    }
}

/// An error that LXC reports.
fn said(message: String) -> DeployError {
    DeployError::Platform {
        platform: "lxc",
        message,
    }
}
