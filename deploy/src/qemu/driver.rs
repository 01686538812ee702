//! The driver for guests.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Instant;

use futures_util::future::try_join_all;
use protocol::facts::PlatformFacts;
use protocol::spec::{GuestNetwork, GuestSpec, PlatformKind, Probe, Resources, ServiceSpec};
use tokio::sync::Mutex;

use super::own::{self, Overlay};
use super::plan::{self, Place};
use super::prepare::{Prepared, prepare};
use super::probe;
use super::running::QemuRunning;
use super::ssh;
use super::vm::{Start, Vm};
use crate::cgroup::Layout;
use crate::guest::Guest;
use crate::mark::{self, Mark};
use crate::member::Member as _;
use crate::network::bridge::{Bridge, Tap};
use crate::{DeployError, Deployment, Door, Driver, Host, limits, network};

/// The driver for guests under QEMU and the other hypervisors.
#[derive(Debug)]
pub struct Qemu {
    pub(super) host: Host,
    pub(super) kind: PlatformKind,
    pub(super) spec: Option<GuestSpec>,
    pub(super) layout: Option<Layout>,
    prepared: Mutex<Option<Prepared>>,
}

impl Qemu {
    /// A driver for a guest on this host; `kind` is only reported.
    #[must_use]
    pub fn new(kind: PlatformKind, spec: &GuestSpec, host: &Host) -> Self {
        Self {
            host: host.clone(),
            kind,
            spec: Some(spec.clone()),
            layout: Layout::of_this_host(),
            prepared: Mutex::new(None),
        }
    }

    /// A driver that can only sweep.
    #[must_use]
    pub fn to_sweep(host: &Host) -> Self {
        Self {
            host: host.clone(),
            kind: PlatformKind::Guest,
            spec: None,
            layout: None,
            prepared: Mutex::new(None),
        }
    }

    pub(super) fn description(&self, spec: &GuestSpec) -> PathBuf {
        self.host.state.join(format!("guests/{}.toml", spec.guest))
    }

    pub(super) fn spec(&self) -> Result<&GuestSpec, DeployError> {
        self.spec.as_ref().ok_or_else(|| DeployError::Unmet {
            need: "a guest was asked for without its name".into(),
            remedy: "name it by `guest` in the platform's table".into(),
        })
    }

    /// Where a service's guest is in its network, with its tap if it has one.
    fn place(
        &self,
        network: &GuestNetwork,
        guest: &Guest,
        service: &ServiceSpec,
    ) -> Result<(Place, Option<Tap>), DeployError> {
        match network {
            GuestNetwork::User(_) => Ok((Place::behind(self.host.address, service.port)?, None)),
            GuestNetwork::Bridge(bridge) => {
                let tap = Bridge::of(&self.host.runner).tap()?;
                Ok((Place::on(&tap, bridge.vhost, guest.vnet_hdr, service.port), Some(tap)))
            }
        }
    }

    async fn boot(
        &self,
        deployment: &Deployment,
        prepared: &mut Prepared,
        service: &ServiceSpec,
    ) -> Result<Vm, DeployError> {
        let spec = self.spec()?;
        let (mut place, tap) = self.place(&spec.network, &prepared.guest, service)?;
        let ssh = prepared.keys.as_ref().map(|_| place.reach(ssh::PORT)).transpose()?;
        let rest = prepared.guest.rest.map(|port| place.reach(port)).transpose()?;
        let overlays = prepared.overlays.remove(&service.name).unwrap_or_default();
        let plan = prepared.plan();
        let mut own = plan
            .own(&self.host.state, deployment.attempt, service, &place, overlays)
            .await?;
        let mut machine = plan.vm(service, &place, &own)?;
        own.configure(&mut machine, &self.host.state, deployment.attempt, &service.name)?;
        Vm::start(Start {
            programs: prepared.programs(),
            mark: Mark::of(&self.host.runner, deployment, service),
            spec: machine,
            shares: plan.shares(),
            state: &self.host.state,
            watch: prepared.watch(),
            stop: prepared.guest.stop,
            layout: self.layout.as_ref(),
            resources: Resources {
                memory_mib: None,
                ..deployment.resources.clone()
            },
            log: deployment.logs.join(format!("{}.log", service.name)),
            endpoint: place.endpoint,
            forward: place.forward,
            ssh,
            rest,
            tap,
            sizes: plan.sizes(),
            own,
        })
    }

    fn check_ports(&self, spec: &GuestSpec, deployment: &Deployment) -> Result<(), DeployError> {
        if !matches!(spec.network, GuestNetwork::User(_)) {
            return Ok(());
        }
        let places = deployment
            .services
            .iter()
            .filter_map(|service| Some((service, network::listen_address(self.host.address, service.port?))));
        network::check_ports(places)
    }
}

impl Driver for Qemu {
    type Running = QemuRunning;

    async fn probe(&self) -> PlatformFacts {
        let mut details = BTreeMap::new();
        let unmet = probe::unmet(self, &mut details).await;
        PlatformFacts {
            kind: self.kind,
            unmet,
            details,
        }
    }

    async fn door(&self) -> Result<Option<Door>, DeployError> {
        Ok(Some(match self.spec()?.network {
            GuestNetwork::User(_) => Door {
                bind: Ipv4Addr::LOCALHOST.into(),
                seen: plan::USER_NET_HOST.into(),
            },
            GuestNetwork::Bridge(_) => {
                let address = Bridge::of(&self.host.runner).host()?.into();
                Door {
                    bind: address,
                    seen: address,
                }
            }
        }))
    }

    async fn prepare(&self, deployment: &Deployment) -> Result<(), DeployError> {
        let prepared = prepare(self, deployment).await?;
        *self.prepared.lock().await = Some(prepared);
        Ok(())
    }

    async fn start(&self, deployment: &Deployment) -> Result<QemuRunning, DeployError> {
        let from = Instant::now();
        let spec = self.spec()?;
        limits::check(&deployment.resources)?;
        let mut prepared = match self.prepared.lock().await.take() {
            Some(prepared) if prepared.attempt == deployment.attempt => prepared,
            _ => prepare(self, deployment).await?,
        };
        self.check_ports(spec, deployment)?;
        let mut running = QemuRunning::new(from, deployment.grace, prepared.deviations.clone());
        for service in &deployment.services {
            running.push(self.boot(deployment, &mut prepared, service).await?);
        }
        try_join_all(running.vms().map(Vm::greet)).await?;
        if let Some(keys) = &prepared.keys {
            let program = &self.host.workload;
            try_join_all(running.vms().map(|vm| vm.log_in(keys, program))).await?;
        }
        let silent = |vm: &&mut Vm| {
            let spec = deployment.services.iter().find(|service| service.name == *vm.service());
            spec.is_some_and(|service| matches!(service.ready, Probe::Started(_)))
        };
        try_join_all(running.vms().filter(silent).map(Vm::up)).await?;
        Ok(running)
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        let mut found = mark::kill_all(&self.host.runner).await;
        let (bridge, state) = (Bridge::of(&self.host.runner), self.host.state.clone());
        let swept = tokio::task::spawn_blocking(move || {
            let mut found = bridge.sweep();
            found.extend(own::sweep(&state));
            found
        });
        found.extend(swept.await.unwrap_or_default());
        Ok(found)
    }
}

pub(super) async fn overlays(
    qemu: &Qemu,
    prepared: &Prepared,
    deployment: &Deployment,
    service: &ServiceSpec,
) -> Result<Vec<Overlay>, DeployError> {
    let mut overlays = Vec::new();
    for (number, disk) in prepared.guest.disks.iter().filter(|disk| disk.writable).enumerate() {
        let name = format!("{}-{number}", service.name);
        overlays.push(Overlay::make(&qemu.host.state, disk, deployment.attempt, &name).await?);
    }
    Ok(overlays)
}
