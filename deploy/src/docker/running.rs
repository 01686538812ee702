//! A deployment of containers, alive.

use std::time::{Duration, Instant};

use protocol::ids::Name;
use protocol::spec::ServiceSpec;
use protocol::summary::Exit;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::container::{Container, Order};
use super::meter::EngineMeter;
use super::network::Network;
use super::unfinished::Unfinished;
use super::{parts, remove};
use crate::accounts::Part;
use crate::mark::Mark;
use crate::member::{Member as _, Members};
use crate::meter::Meter;
use crate::procfs::Procfs;
use crate::{DeployError, Processes, Running, Started, Stopped};

/// A deployment of containers. Dropping it removes them, soon after.
#[derive(Debug)]
pub struct DockerRunning {
    address: Address,
    docker: bollard::Docker,
    containers: Members<Container>,
    /// The names of all containers that may exist, also of those whose creation failed half-way.
    names: Vec<String>,
    /// The network on the runner's bridge, if they are there.
    network: Option<Network>,
    /// Held until the start is done and somebody has got the result.
    unfinished: Option<Unfinished>,
}

impl DockerRunning {
    pub(super) fn new(
        address: Address,
        docker: bollard::Docker,
        (from, grace): (Instant, Duration),
        network: Option<Network>,
    ) -> Self {
        Self {
            address,
            network,
            docker,
            containers: Members::new(from, grace),
            names: Vec::new(),
            unfinished: Some(Unfinished::begin()),
        }
    }

    /// Starts all services at once, unless `cancelled`. On error nothing is left.
    pub(super) async fn fill(
        mut self,
        order: &Order,
        services: &[(Mark, ServiceSpec)],
        cancelled: &CancellationToken,
    ) -> Result<Self, DeployError> {
        // Whoever asked may be gone: what is dropped here is removed.
        if cancelled.is_cancelled() {
            return Ok(self);
        }
        self.names = services.iter().map(|(mark, _)| mark.container()).collect();
        let starting = services
            .iter()
            .map(|(mark, service)| Container::start(&self.docker, order, mark, service));
        match self.containers.start(starting).await {
            Ok(()) => Ok(self),
            Err(error) => {
                self.abandon().await;
                Err(error)
            }
        }
    }

    /// Whoever waited for the start has it.
    pub(super) fn received(mut self) -> Self {
        self.unfinished = None;
        self
    }

    /// Removes what a service that could not be started left half made.
    async fn abandon(mut self) {
        for name in std::mem::take(&mut self.names) {
            remove::remove(&self.docker, &name).await;
        }
        if let Some(network) = self.network.take() {
            network.remove().await;
        }
    }
}

impl Running for DockerRunning {
    fn services(&self) -> &[Started] {
        self.containers.started()
    }

    fn processes(&self, service: &Name) -> Processes {
        self.containers.processes(service)
    }

    fn parts(&self) -> Vec<Part> {
        let known: Vec<_> = self.containers.iter().map(Container::known).collect();
        parts::parts(&Procfs::default(), &known, self.address.listener())
    }

    fn meter(&self) -> Option<Meter> {
        let named = |container: &Container| (container.service().clone(), container.name().to_owned());
        let containers = self.containers.iter().map(named).collect();
        Some(Meter::Engine(EngineMeter::new(self.docker.clone(), containers)))
    }

    fn first_output(&self, service: &Name) -> Option<Duration> {
        self.containers.first_output(service)
    }

    fn deviations(&self) -> Vec<String> {
        self.containers.deviations()
    }

    async fn ended(&mut self) -> (Name, Exit) {
        self.containers.ended().await
    }

    async fn stop(mut self) -> Stopped {
        let mut stopped = self.containers.stop().await;
        self.names.clear();
        if let Some(network) = self.network.take() {
            stopped.teardown.leftovers.extend(network.remove().await);
        }
        stopped
    }
}

impl Drop for DockerRunning {
    fn drop(&mut self) {
        if !self.names.is_empty() {
            let work = self.unfinished.take().unwrap_or_else(Unfinished::begin);
            let names = std::mem::take(&mut self.names);
            remove::remove_detached(self.address.clone(), names, self.network.take(), work);
        }
    }
}
