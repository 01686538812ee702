//! A deployment that only pretends, alive.

use std::time::Duration;

use futures_util::future::{pending, select_all};
use protocol::ids::Name;
use protocol::spec::{Resources, ServiceSpec};
use protocol::summary::{Exit, Teardown};

use super::is_gone;
use super::server::Server;
use crate::{Processes, Running, Started, Stopped};

/// A deployment that only pretends. Dropping it ends its listeners.
#[derive(Debug)]
pub struct FakeRunning {
    services: Vec<Service>,
    started: Vec<Started>,
    leaves_something: bool,
    deviations: Vec<String>,
}

#[derive(Debug)]
struct Service {
    name: Name,
    server: Server,
    /// Set when it has died by itself.
    exit: Option<Exit>,
}

impl FakeRunning {
    pub(super) fn new(leaves_something: bool, resources: &Resources) -> Self {
        let limited = *resources != Resources::default();
        let deviations = limited
            .then(|| "the fake platform keeps no limits".to_owned())
            .into_iter()
            .collect();
        Self {
            services: Vec::new(),
            started: Vec::new(),
            leaves_something,
            deviations,
        }
    }

    pub(super) fn push(&mut self, spec: &ServiceSpec, server: Server, process_after: Duration) {
        let name = spec.name.clone();
        self.started.push(Started {
            service: name.clone(),
            endpoint: spec.port.map(|_| server.address()),
            process_after,
            pid: std::process::id(),
        });
        self.services.push(Service {
            name,
            server,
            exit: None,
        });
    }
}

impl Service {
    async fn ended(&mut self) -> (Name, Exit) {
        self.server.died().await;
        self.exit = Some(Exit::Code(1));
        (self.name.clone(), Exit::Code(1))
    }

    /// A death by itself keeps its exit; the end that we ask for is a clean one.
    async fn stop(&mut self) -> Exit {
        if let Some(exit) = self.exit.take() {
            return exit;
        }
        self.server.stop().await;
        Exit::Code(0)
    }
}

impl Running for FakeRunning {
    fn services(&self) -> &[Started] {
        &self.started
    }

    /// This process: there is no other.
    fn processes(&self, service: &Name) -> Processes {
        let alive = self
            .services
            .iter()
            .any(|known| known.name == *service && known.exit.is_none());
        Processes::Fixed(if alive { vec![std::process::id()] } else { Vec::new() })
    }

    fn deviations(&self) -> Vec<String> {
        self.deviations.clone()
    }

    async fn ended(&mut self) -> (Name, Exit) {
        let waiting: Vec<_> = self
            .services
            .iter_mut()
            .filter(|service| service.exit.is_none())
            .map(|service| Box::pin(service.ended()))
            .collect();
        if waiting.is_empty() {
            return pending().await;
        }
        select_all(waiting).await.0
    }

    async fn stop(mut self) -> Stopped {
        let mut stopped = Stopped {
            exits: Vec::new(),
            sizes: Vec::new(),
            teardown: Teardown::default(),
        };
        for service in &mut self.services {
            stopped.exits.push((service.name.clone(), service.stop().await));
            if !is_gone(&service.server) {
                let address = service.server.address();
                stopped
                    .teardown
                    .leftovers
                    .push(format!("port {address} of {}", service.name));
            }
        }
        if self.leaves_something {
            stopped
                .teardown
                .leftovers
                .push("something that the fake platform is told to leave behind".into());
        }
        stopped
    }
}
