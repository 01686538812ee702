//! The driver for guests.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Instant;

use futures_util::future::try_join_all;
use protocol::facts::PlatformFacts;
use protocol::spec::{GuestNetwork, GuestSpec, PlatformKind, Probe, Resources};
use tokio::sync::Mutex;

use super::context::Context;
use super::files;
use super::osv_api::GuestMeter;
use super::plan::{self, NetConfig};
use super::prepare::prepare;
use super::prepared::Prepared;
use super::probe;
use super::ssh;
use super::vm::{Start, Vm};
use crate::cgroup::Layout;
use crate::guest::Guest;
use crate::mark::Mark;
use crate::network::bridge::{Bridge, Tap};
use crate::{
    DeployError, Deployment, DeploymentSpec, Driver, Host, HostGateway, Meter, Service, cleanup, limits, network,
};

/// The driver for guests of QEMU and the other hypervisors.
#[derive(Debug)]
pub struct GuestDriver {
    context: Context,
    prepared: Mutex<Option<Prepared>>,
}

impl GuestDriver {
    /// A driver for a guest on this host; `kind` is only reported.
    #[must_use]
    pub fn new(kind: PlatformKind, spec: &GuestSpec, host: &Host) -> Self {
        Self::with(Context {
            host: host.clone(),
            kind,
            spec: Some(spec.clone()),
            layout: Layout::of_this_host(),
        })
    }

    /// A driver that can only sweep.
    #[must_use]
    pub fn to_sweep(host: &Host) -> Self {
        Self::with(Context {
            host: host.clone(),
            kind: PlatformKind::Guest,
            spec: None,
            layout: None,
        })
    }

    fn with(context: Context) -> Self {
        Self {
            context,
            prepared: Mutex::new(None),
        }
    }

    /// Where a service's guest is in its network, with its tap if it has one.
    fn net_config(
        &self,
        network: &GuestNetwork,
        guest: &Guest,
        service: &Service,
    ) -> Result<(NetConfig, Option<Tap>), DeployError> {
        match network {
            GuestNetwork::User(_) => Ok((NetConfig::user_mode(self.context.host.address, service.port)?, None)),
            GuestNetwork::Bridge(bridge) => {
                let tap = Bridge::of(&self.context.host.runner).tap()?;
                Ok((
                    NetConfig::on_tap(&tap, bridge.vhost, guest.vnet_hdr, service.port),
                    Some(tap),
                ))
            }
        }
    }

    async fn boot(
        &self,
        deployment: &DeploymentSpec,
        prepared: &mut Prepared,
        service: &Service,
    ) -> Result<Vm, DeployError> {
        let spec = self.context.spec()?;
        let (mut net, tap) = self.net_config(&spec.network, &prepared.guest, service)?;
        let ssh = prepared.keys.as_ref().map(|_| net.reach_port(ssh::PORT)).transpose()?;
        let osv_api = prepared.guest.rest.map(|port| net.reach_port(port)).transpose()?;
        let overlays = prepared.overlays.remove(&service.name).unwrap_or_default();
        let plan = prepared.plan(&service.name);
        let mut files = plan
            .files(&self.context.host.state, deployment.attempt, service, &net, overlays)
            .await?;
        let mut vm = plan.vm(service, &net, &files)?;
        files.write_config(&mut vm, &self.context.host.state, deployment.attempt, &service.name)?;
        Vm::start(Start {
            programs: prepared.programs(),
            mark: Mark::of(&self.context.host.runner, deployment.attempt, service),
            spec: vm,
            shares: plan.shares(),
            state: &self.context.host.state,
            patterns: prepared.patterns(),
            stop_method: prepared.guest.stop,
            layout: self.context.layout.as_ref(),
            resources: Resources {
                memory_mib: None,
                ..deployment.resources.clone()
            },
            log: deployment.logs.join(format!("{}.log", service.name)),
            endpoint: net.endpoint,
            forward: net.forward,
            ssh,
            osv_api,
            tap,
            sizes: plan.sizes(),
            record: service.description().and_then(|_| plan.record()),
            files,
        })
    }

    fn check_ports(&self, spec: &GuestSpec, deployment: &DeploymentSpec) -> Result<(), DeployError> {
        if !matches!(spec.network, GuestNetwork::User(_)) {
            return Ok(());
        }
        let listeners = deployment.services.iter().filter_map(|service| {
            Some((
                service,
                network::listen_address(self.context.host.address, service.port?),
            ))
        });
        network::check_ports(listeners)
    }
}

impl Driver for GuestDriver {
    async fn probe(&self) -> PlatformFacts {
        let mut details = BTreeMap::new();
        let unmet = probe::unmet(&self.context, &mut details).await;
        PlatformFacts {
            kind: self.context.kind,
            unmet,
            details,
        }
    }

    async fn host_gateway(&self) -> Result<Option<HostGateway>, DeployError> {
        Ok(Some(match self.context.spec()?.network {
            GuestNetwork::User(_) => HostGateway {
                bind: Ipv4Addr::LOCALHOST.into(),
                seen: plan::USER_NET_HOST.into(),
            },
            GuestNetwork::Bridge(_) => HostGateway::on_bridge(&self.context.host.runner)?,
        }))
    }

    async fn prepare(&self, spec: &DeploymentSpec) -> Result<(), DeployError> {
        let prepared = prepare(&self.context, spec).await?;
        *self.prepared.lock().await = Some(prepared);
        Ok(())
    }

    async fn start(&self, spec: &DeploymentSpec) -> Result<Deployment, DeployError> {
        let called = Instant::now();
        let guest = self.context.spec()?;
        limits::check(&spec.resources)?;
        let mut prepared = match self.prepared.lock().await.take() {
            Some(prepared) if prepared.attempt == spec.attempt => prepared,
            _ => prepare(&self.context, spec).await?,
        };
        self.check_ports(guest, spec)?;
        let mut vms = Vec::new();
        for service in &spec.services {
            vms.push(self.boot(spec, &mut prepared, service).await?);
        }
        try_join_all(vms.iter_mut().map(Vm::handshake)).await?;
        if let Some(keys) = &prepared.keys {
            let program = &self.context.host.workload;
            try_join_all(vms.iter_mut().map(|vm| vm.install_program(keys, program))).await?;
        }
        let has_no_port = |vm: &&mut Vm| {
            let service = spec.services.iter().find(|service| service.name == *vm.service());
            service.is_some_and(|service| matches!(service.probe(), Probe::Started(_)))
        };
        try_join_all(vms.iter_mut().filter(has_no_port).map(Vm::wait_until_up)).await?;
        let osv_api = |vm: &Vm| Some((vm.service().clone(), vm.osv_api()?));
        let guests: Vec<_> = vms.iter().filter_map(osv_api).collect();
        let meter = (!guests.is_empty()).then(|| Meter::new(GuestMeter::new(guests)));
        Ok(Deployment::new(called, spec.grace, vms)
            .with_deviations(prepared.deviations)
            .with_emulation(prepared.emulation)
            .with_meter(meter))
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        let host = &self.context.host;
        let mut found = cleanup::kill_marked(&host.runner).await;
        let (bridge, state) = (Bridge::of(&host.runner), host.state.clone());
        let swept = tokio::task::spawn_blocking(move || {
            let mut found = bridge.sweep();
            found.extend(files::sweep(&state));
            found
        });
        found.extend(swept.await.unwrap_or_default());
        Ok(found)
    }
}
