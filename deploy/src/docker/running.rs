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
use crate::member::{self, Member as _};
use crate::procfs::Procfs;
use crate::{DeployError, Running, Started, Stopped};

/// A deployment of containers. Dropping it removes them, soon after.
#[derive(Debug)]
pub struct DockerRunning {
    address: Address,
    docker: bollard::Docker,
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
            grace,
            containers: Vec::new(),
            started: Vec::new(),
            names: Vec::new(),
            unfinished: Some(Unfinished::begin()),
        }
    }

    /// Starts one service after the other, until `cancelled`. On error nothing is left.
    pub(super) async fn fill(
        mut self,
        order: &Order,
        services: &[(Mark, ServiceSpec)],
        from: Instant,
        cancelled: &CancellationToken,
    ) -> Result<Self, DeployError> {
        for (mark, service) in services {
            // Whoever asked is gone: what is dropped here is removed.
            if cancelled.is_cancelled() {
                break;
            }
            self.names.push(mark.container());
            match Container::start(&self.docker, order, mark, service).await {
                Ok(container) => self.push(container, from),
                Err(error) => {
                    self.abandon().await;
                    return Err(error);
                }
            }
        }
        Ok(self)
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
        parts::parts(&Procfs::default(), &known)
    }

    fn meter(&self) -> Option<EngineMeter> {
        let named = |container: &Container| (container.service().clone(), container.name().to_owned());
        let containers = self.containers.iter().map(named).collect();
        Some(EngineMeter::new(self.docker.clone(), containers))
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
            remove::remove_detached(self.address.clone(), std::mem::take(&mut self.names), work);
        }
    }
}
