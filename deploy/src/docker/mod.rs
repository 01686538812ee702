//! `docker`: a service is a container of a Docker engine on this host.
//!
//! The image is built FROM scratch and contains only the static workload program, or it is one that the engine already has. The endpoint is the
//! container's own address on the bridge or, with `publish`, a port of the host. The engine is Docker 20.10 (Debian's) or later, or Podman's
//! Docker-compatible service; the platform's configuration names the OCI runtime.
//!
//! The service is what its cgroup contains. With gVisor (`runsc`) that is the sandbox, whose kernel serves the service's system calls, the stubs that run its
//! code, and the gofer that opens its files: the service with its kernel, as in a guest. Overhead are the engine, and for each container a monitor:
//! containerd's shim or Podman's conmon.

mod address;
mod background;
mod config;
mod container;
mod engine;
mod exit;
mod gateway;
mod image;
mod meter;
mod network;
mod orphans;
mod overhead;
mod plan;
mod remove;
mod runtime;
mod shared;
mod size;
mod source;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use protocol::facts::PlatformFacts;
use protocol::spec::{ContainerNetwork, DockerSpec, PlatformKind};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::mark::Mark;
use crate::network::bridge::Bridge;
use crate::service::{Service, sweep_dirs};
use crate::{DeployError, Deployment, DeploymentSpec, Driver, Host, HostGateway, limits};

use address::Address;
use config::ContainerConfig;
use network::Network;
use plan::ContainerPlan;
use runtime::Runtime;
use shared::DockerShared;

/// The driver for containers of an engine. Use the same one for `prepare` and `start`: it keeps its connection and its image.
#[derive(Debug)]
pub struct Docker {
    spec: DockerSpec,
    host: Host,
    engine: OnceCell<bollard::Docker>,
    /// The OCI runtime.
    runtime: OnceCell<Runtime>,
    /// What was prepared for the next deployment, by container.
    plans: Mutex<BTreeMap<String, ContainerPlan>>,
    /// The network that was prepared last, until a deployment takes it.
    network: Mutex<Option<Network>>,
}

impl Docker {
    /// A driver for this host. Connects when it is first used.
    #[must_use]
    pub fn new(spec: &DockerSpec, host: &Host) -> Self {
        Self {
            spec: spec.clone(),
            host: host.clone(),
            engine: OnceCell::new(),
            runtime: OnceCell::new(),
            plans: Mutex::default(),
            network: Mutex::new(None),
        }
    }

    async fn engine(&self) -> Result<&bollard::Docker, DeployError> {
        let connect = || async { engine::connect(&self.address()).await };
        self.engine.get_or_try_init(connect).await
    }

    fn address(&self) -> Address {
        Address::of(&self.spec)
    }

    async fn runtime(&self) -> Result<&Runtime, DeployError> {
        let choose = || async {
            let (info, version) = engine::info(self.engine().await?).await?;
            Runtime::choose(&self.spec, &info, &version)
        };
        self.runtime.get_or_try_init(choose).await
    }

    /// The network on the runner's bridge, if the containers are on it: the one that was prepared, or a new one.
    async fn network(&self) -> Result<Option<Network>, DeployError> {
        if self.spec.network == ContainerNetwork::Engine {
            return Ok(None);
        }
        if self.spec.publish {
            return Err(DeployError::Unmet {
                need: "network = \"bridge\" does not publish ports".into(),
                remedy: "remove `publish`: the load goes to the container's own address".into(),
            });
        }
        let prepared = self.network.lock().unwrap_or_else(PoisonError::into_inner).take();
        match prepared {
            Some(network) => Ok(Some(network)),
            None => Network::create(&self.address(), self.engine().await?, &self.host.runner)
                .await
                .map(Some),
        }
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<String, ContainerPlan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a service's container is started from: its image, which is there afterwards, and its files.
    async fn plan(&self, service: &Service, mark: &Mark) -> Result<ContainerPlan, DeployError> {
        let engine = self.engine().await?;
        let image = match service.description() {
            Some(described) => {
                let (image, record) = source::ensure(engine, described).await?;
                (image, Some(record))
            }
            None => (image::ensure(engine, &self.spec, &self.host.workload).await?, None),
        };
        let (service, state, mark) = (service.clone(), self.host.state.clone(), mark.clone());
        let planned = tokio::task::spawn_blocking(move || ContainerPlan::new(&service, image, &state, &mark));
        planned.await.unwrap_or_else(|error| {
            Err(DeployError::Platform {
                platform: "docker",
                message: error.to_string(),
            })
        })
    }

    async fn facts(&self, details: &mut BTreeMap<String, String>) -> Result<(), DeployError> {
        let engine = self.engine().await?;
        details.insert("socket".into(), self.address().at);
        let (info, version) = engine::info(engine).await?;
        let runtime = Runtime::choose(&self.spec, &info, &version);
        details.extend(engine::details(engine, info, version));
        let runtime = runtime?;
        details.extend(runtime.details().await);
        // Saves a request in the timed start.
        let _ = self.runtime.set(runtime);
        let network = match self.spec.network {
            ContainerNetwork::Engine => "the engine's own bridge".to_owned(),
            ContainerNetwork::Bridge => format!("the runner's bridge {}", Bridge::of(&self.host.runner).name()),
        };
        details.insert("network".into(), network);
        let name = image::name(&self.spec, &self.host.workload).await?;
        details.insert("image".into(), name.clone());
        match image::find(engine, &name).await? {
            Some(image) => {
                details.insert("image_id".into(), image.id);
                details.insert("image_bytes".into(), image.bytes.to_string());
            }
            None if self.spec.image.is_some() => return Err(image::missing(&name)),
            None => {
                details.insert("image_id".into(), "not built yet".into());
            }
        }
        Ok(())
    }

    async fn config(
        &self,
        deployment: &DeploymentSpec,
        network: Option<&Network>,
    ) -> Result<ContainerConfig, DeployError> {
        let publish = self.spec.publish.then(|| {
            (
                crate::network::listen_address(self.host.address, 0).ip(),
                self.host.address,
            )
        });
        if let Some((bind, _)) = publish {
            crate::network::check_ports(
                deployment
                    .services
                    .iter()
                    .filter_map(|service| Some((service, (bind, service.port?).into()))),
            )?;
        }
        Ok(ContainerConfig {
            publish,
            network: network.map(Network::name),
            runtime: self.runtime().await?.clone(),
            resources: deployment.resources.clone(),
            logs: deployment.logs.clone(),
        })
    }
}

impl Driver for Docker {
    async fn probe(&self) -> PlatformFacts {
        let mut details = BTreeMap::new();
        let unmet = self
            .facts(&mut details)
            .await
            .err()
            .map(|error| error.into_unmet("check the engine's log (`journalctl -u docker`) and `docker info`"));
        PlatformFacts {
            kind: PlatformKind::Docker,
            unmet,
            details,
        }
    }

    async fn host_gateway(&self) -> Result<Option<HostGateway>, DeployError> {
        if self.spec.network == ContainerNetwork::Bridge {
            return HostGateway::on_bridge(&self.host.runner).map(Some);
        }
        let seen = gateway::of_host(self.engine().await?, &self.address()).await?.into();
        // With Docker Desktop the network is another machine's, and this host does not have the address.
        let bind = crate::network::listen_address(seen, 0).ip();
        Ok(Some(HostGateway { bind, seen }))
    }

    async fn prepare(&self, deployment: &DeploymentSpec) -> Result<(), DeployError> {
        self.runtime().await?;
        for service in &deployment.services {
            let mark = Mark::of(&self.host.runner, deployment.attempt, service);
            let plan = self.plan(service, &mark).await?;
            self.plans().insert(mark.container(), plan);
        }
        let network = self.network().await?;
        *self.network.lock().unwrap_or_else(PoisonError::into_inner) = network;
        Ok(())
    }

    async fn start(&self, deployment: &DeploymentSpec) -> Result<Deployment, DeployError> {
        let called = Instant::now();
        limits::check(&deployment.resources)?;
        let network = self.network().await?;
        let config = self.config(deployment, network.as_ref()).await?;
        let engine = self.engine().await?.clone();
        let shared = DockerShared::new(self.address(), engine, network);
        let mut services = Vec::new();
        for service in &deployment.services {
            let mark = Mark::of(&self.host.runner, deployment.attempt, service);
            let prepared = self.plans().remove(&mark.container());
            let plan = match prepared {
                Some(plan) => plan,
                None => self.plan(service, &mark).await?,
            };
            services.push((mark, service.clone(), plan));
        }
        // The engine may still execute a request whose future is dropped. So a task of its own completes all requests, and removes what it has created if
        // the caller is gone.
        let cancelled = CancellationToken::new();
        let _cancel = cancelled.clone().drop_guard();
        let task = tokio::spawn(async move { shared.start(&config, services, &cancelled).await });
        let panicked = |error| DeployError::Platform {
            platform: "docker",
            message: format!("the start panicked: {error}"),
        };
        let (shared, containers) = task.await.map_err(panicked)??;
        let (shared, grace) = (shared.received(), deployment.grace);
        let meter = shared.meter(&containers);
        Ok(Deployment::new(called, grace, containers)
            .with_meter(Some(meter))
            .with_shared(shared))
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        match self.engine().await {
            Ok(engine) => {
                let mut found = remove::sweep(engine, &self.host.runner).await?;
                found.extend(network::sweep(engine, &self.host.runner).await);
                found.extend(sweep_dirs(&self.host.state).await);
                Ok(found)
            }
            // Without an engine, or the permission to use it, this runner has no containers. But Podman's containers outlive its service, so a configured
            // one must reply.
            Err(DeployError::Unmet { .. }) if self.spec.socket.is_none() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
