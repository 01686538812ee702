//! `native`: a service is a process of the host in its own process group and, where allowed, its own cgroup.

pub mod errand;
mod running;
pub(crate) mod unit;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use futures_util::TryFutureExt as _;
use protocol::facts::{PlatformFacts, Unmet};
use protocol::spec::PlatformKind;

use crate::binary::Binary;
use crate::cgroup::{self, Layout};
use crate::member::Members;
use crate::{DeployError, Deployment, Driver, Host, limits, mark, network};

pub use running::NativeRunning;
use unit::Unit;

/// The driver for processes of the host.
#[derive(Clone, Debug)]
pub struct Native {
    host: Host,
    layout: Option<Layout>,
}

impl Native {
    /// A driver for this host. Reads where cgroups are mounted, and changes nothing.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            layout: Layout::of_this_host(),
        }
    }

    /// A driver that uses no cgroups, as on a host that allows none.
    #[must_use]
    pub fn without_cgroups(host: &Host) -> Self {
        Self {
            host: host.clone(),
            layout: None,
        }
    }
}

impl Driver for Native {
    type Running = NativeRunning;

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

    async fn prepare(&self, _deployment: &Deployment) -> Result<(), DeployError> {
        let workload = &self.host.workload;
        let what = || format!("reading the workload program {}", workload.display());
        tokio::fs::metadata(workload)
            .await
            .map(drop)
            .map_err(|source| DeployError::Io { what: what(), source })
    }

    async fn start(&self, deployment: &Deployment) -> Result<NativeRunning, DeployError> {
        let from = Instant::now();
        limits::check(&deployment.resources)?;
        let places: Vec<_> = deployment
            .services
            .iter()
            .map(|service| {
                let listen = service
                    .port
                    .map(|port| network::listen_address(self.host.address, port));
                (service, listen)
            })
            .collect();
        network::check_ports(places.iter().filter_map(|&(service, listen)| Some((service, listen?))))?;
        // Each on its own thread: joining a cgroup waits for the kernel, and should not delay the next service.
        let starting = places.into_iter().map(|(service, listen)| {
            let (host, layout) = (self.host.clone(), self.layout.clone());
            let (deployment, service) = (deployment.clone(), service.clone());
            let start = move || Unit::start(&host, layout.as_ref(), &deployment, &service, listen);
            tokio::task::spawn_blocking(start).unwrap_or_else(|fault| Err(lost(&fault)))
        });
        let mut units = Members::new(from, deployment.grace);
        units.start(starting).await?;
        Ok(NativeRunning { units })
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        let mut found = mark::kill_all(&self.host.runner).await;
        if let Some(layout) = self.layout.clone() {
            let group = mark::cgroup_group(&self.host.runner);
            let swept = tokio::task::spawn_blocking(move || cgroup::sweep(&layout, &group)).await;
            found.extend(swept.unwrap_or_default());
        }
        Ok(found)
    }
}

fn lost(fault: &tokio::task::JoinError) -> DeployError {
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
