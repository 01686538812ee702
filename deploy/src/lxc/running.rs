//! A deployment of LXC's containers, alive.

use std::time::{Duration, Instant};

use protocol::ids::Name;
use protocol::summary::Exit;

use super::container::Container;
use crate::accounts::Part;
use crate::member::{self, Member as _};
use crate::{Running, Started, Stopped};

/// A deployment of LXC's containers. Dropping it kills them.
#[derive(Debug)]
pub struct LxcRunning {
    from: Instant,
    containers: Vec<Container>,
    started: Vec<Started>,
    grace: Duration,
}

impl LxcRunning {
    pub(super) const fn new(from: Instant, grace: Duration) -> Self {
        Self {
            from,
            containers: Vec::new(),
            started: Vec::new(),
            grace,
        }
    }

    pub(super) fn push(&mut self, container: Container) {
        self.started.push(Started {
            service: container.service().clone(),
            endpoint: container.endpoint(),
            process_after: container.exists_since() - self.from,
            pid: container.pid(),
        });
        self.containers.push(container);
    }

    /// Ends what was started before another service could not be.
    pub(super) async fn abandon(mut self) {
        self.grace = Duration::ZERO;
        self.stop().await;
    }

    fn container(&self, service: &Name) -> Option<&Container> {
        self.containers.iter().find(|container| container.service() == service)
    }
}

impl Running for LxcRunning {
    fn services(&self) -> &[Started] {
        &self.started
    }

    fn pids(&self, service: &Name) -> Vec<u32> {
        self.container(service).map(Container::pids).unwrap_or_default()
    }

    fn first_output(&self, service: &Name) -> Option<Duration> {
        let at = self.container(service)?.first_output()?;
        Some(at.saturating_duration_since(self.from))
    }

    /// A monitor for each container.
    fn parts(&self) -> Vec<Part> {
        let monitor = |container: &Container| {
            Some(Part {
                name: super::STARTER.parse().ok()?,
                service: Some(container.service().clone()),
                pid: container.monitor(),
            })
        };
        self.containers.iter().filter_map(monitor).collect()
    }

    fn interface(&self, service: &Name) -> Option<String> {
        self.container(service)?.interface()
    }

    fn deviations(&self) -> Vec<String> {
        Vec::new()
    }

    async fn ended(&mut self) -> (Name, Exit) {
        member::ended(&mut self.containers).await
    }

    async fn stop(mut self) -> Stopped {
        member::stop(&mut self.containers, self.grace).await
    }
}
