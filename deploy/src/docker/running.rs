//! A deployment of containers, alive.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
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
use crate::member::{self, Member as _};
use crate::meter::Meter;
use crate::procfs::Procfs;
use crate::{DeployError, Running, Started, Stopped};

/// A deployment of containers. Dropping it removes them, soon after.
#[derive(Debug)]
pub struct DockerRunning {
    address: Address,
    docker: bollard::Docker,
    /// The driver's call.
    from: Instant,
    grace: Duration,
    containers: Vec<Container>,
    started: Vec<Started>,
    /// The names of all containers that may exist, also of those whose creation failed half-way.
    names: Vec<String>,
    /// The network on the runner's bridge, if they are there.
    network: Option<Network>,
    /// Held until the start is done and somebody has got the result.
    unfinished: Option<Unfinished>,
}

impl DockerRunning {
    pub(super) fn new(address: Address, docker: bollard::Docker, grace: Duration, network: Option<Network>) -> Self {
        Self {
            address,
            network,
            docker,
            from: Instant::now(),
            grace,
            containers: Vec::new(),
            started: Vec::new(),
            names: Vec::new(),
            unfinished: Some(Unfinished::begin()),
        }
    }

    /// Starts all services at once, unless `cancelled`. On error nothing is left.
    pub(super) async fn fill(
        mut self,
        order: &Order,
        services: &[(Mark, ServiceSpec)],
        from: Instant,
        cancelled: &CancellationToken,
    ) -> Result<Self, DeployError> {
        // Whoever asked may be gone: what is dropped here is removed.
        if cancelled.is_cancelled() {
            return Ok(self);
        }
        self.from = from;
        self.names = services.iter().map(|(mark, _)| mark.container()).collect();
        let starting = services
            .iter()
            .map(|(mark, service)| Container::start(&self.docker, order, mark, service));
        let mut broken = None;
        for started in join_all(starting).await {
            match started {
                Ok(container) => self.push(container, from),
                Err(error) => broken = broken.or(Some(error)),
            }
        }
        match broken {
            None => Ok(self),
            Some(error) => {
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

    fn push(&mut self, container: Container, from: Instant) {
        self.started.push(Started {
            service: container.service().clone(),
            endpoint: container.endpoint(),
            process_after: container.exists_since() - from,
            pid: container.pid(),
        });
        self.containers.push(container);
    }

    /// Ends what was started before a later service could not be, and removes what that one left half made.
    async fn abandon(mut self) {
        for container in &mut self.containers {
            container.stop(Duration::ZERO).await;
        }
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
        &self.started
    }

    fn pids(&self, service: &Name) -> Vec<u32> {
        let container = self.containers.iter().find(|container| container.service() == service);
        container.map(Container::pids).unwrap_or_default()
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
        let container = self
            .containers
            .iter()
            .find(|container| container.service() == service)?;
        Some(container.first_output()?.saturating_duration_since(self.from))
    }

    fn deviations(&self) -> Vec<String> {
        let mut all: Vec<String> = self.containers.iter().flat_map(Container::warnings).cloned().collect();
        all.dedup();
        all
    }

    async fn ended(&mut self) -> (Name, Exit) {
        member::ended(&mut self.containers).await
    }

    async fn stop(mut self) -> Stopped {
        let mut stopped = member::stop(&mut self.containers, self.grace).await;
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
