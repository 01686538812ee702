//! What the containers of a deployment share: their engine and their network.

use futures_util::future::BoxFuture;
use protocol::sample::{Counters, ServiceRef, Subject};
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::background::Pending;
use super::config::ContainerConfig;
use super::container::Container;
use super::meter::EngineMeter;
use super::network::Network;
use super::overhead::{self, RunningContainer};
use super::plan::ContainerPlan;
use super::remove;
use crate::deployment::{Meter, MeterSource, PlatformProcess, Shared, start_all};
use crate::mark::Mark;
use crate::{DeployError, Service};

use crate::procfs::Procfs;

/// What the containers of a deployment share. Dropping it removes the containers and their network in the background.
#[derive(Debug)]
pub(super) struct DockerShared {
    address: Address,
    docker: bollard::Docker,
    containers: Vec<RunningContainer>,
    /// The names of all containers that may exist, including those whose creation failed.
    names: Vec<String>,
    /// The network on the runner's bridge, if the containers are on it.
    network: Option<Network>,
    /// Held until the start has finished and the caller has its result.
    pending: Option<Pending>,
}

impl DockerShared {
    pub(super) fn new(address: Address, docker: bollard::Docker, network: Option<Network>) -> Self {
        Self {
            address,
            docker,
            containers: Vec::new(),
            names: Vec::new(),
            network,
            pending: Some(Pending::new()),
        }
    }

    /// Starts all services concurrently, unless `cancelled`. On an error nothing is left.
    pub(super) async fn start(
        mut self,
        config: &ContainerConfig,
        services: Vec<(Mark, Service, ContainerPlan)>,
        cancelled: &CancellationToken,
    ) -> Result<(Self, Vec<Container>), DeployError> {
        // The caller may be gone; dropping `self` removes the network.
        if cancelled.is_cancelled() {
            return Ok((self, Vec::new()));
        }
        self.names = services.iter().map(|(mark, ..)| mark.container()).collect();
        let starting = services.into_iter().map(|(mark, service, plan)| {
            let docker = &self.docker;
            async move { Container::start(docker, config, &mark, (&service, plan)).await }
        });
        match start_all(starting).await {
            Ok(containers) => {
                self.containers = containers.iter().map(Container::running).collect();
                Ok((self, containers))
            }
            Err(error) => {
                self.abandon().await;
                Err(error)
            }
        }
    }

    /// The caller has the result of the start.
    pub(super) fn received(mut self) -> Self {
        self.pending = None;
        self
    }

    /// Reads the engine's figures of these containers.
    pub(super) fn meter(&self, containers: &[Container]) -> Meter {
        let named = |container: &Container| (container.service().clone(), container.name().to_owned());
        Meter::new(EngineMeter::new(
            self.docker.clone(),
            containers.iter().map(named).collect(),
        ))
    }

    /// Removes what a failed start left behind.
    async fn abandon(mut self) {
        for name in std::mem::take(&mut self.names) {
            remove::remove(&self.docker, &name).await;
        }
        if let Some(network) = self.network.take() {
            network.remove().await;
        }
    }
}

impl Shared for DockerShared {
    fn platform_processes(&self) -> Vec<PlatformProcess> {
        overhead::processes(&Procfs::default(), &self.containers, self.address.listener())
    }

    fn remove(&mut self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async {
            self.names.clear();
            match self.network.take() {
                Some(network) => network.remove().await,
                None => Vec::new(),
            }
        })
    }
}

impl Drop for DockerShared {
    fn drop(&mut self) {
        if !self.names.is_empty() {
            let pending = self.pending.take().unwrap_or_else(Pending::new);
            let names = std::mem::take(&mut self.names);
            remove::remove_detached(self.address.clone(), names, self.network.take(), pending);
        }
    }
}

impl MeterSource for EngineMeter {
    fn read(&self) -> BoxFuture<'_, Vec<(Subject, Counters)>> {
        Box::pin(async {
            let figures = self.figures().await.into_iter();
            let of = |(service, counters)| (Subject::Engine(ServiceRef { service }), counters);
            figures.map(of).collect()
        })
    }
}
