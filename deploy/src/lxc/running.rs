//! A deployment of LXC's containers, alive.

use std::time::Duration;

use protocol::ids::Name;
use protocol::summary::Exit;

use super::container::Container;
use crate::accounts::Part;
use crate::member::{Member as _, Members};
use crate::{Processes, Running, Started, Stopped};

/// A deployment of LXC's containers. Dropping it kills them.
#[derive(Debug)]
pub struct LxcRunning {
    pub(super) containers: Members<Container>,
}

impl Running for LxcRunning {
    fn services(&self) -> &[Started] {
        self.containers.started()
    }

    fn processes(&self, service: &Name) -> Processes {
        self.containers.processes(service)
    }

    fn first_output(&self, service: &Name) -> Option<Duration> {
        self.containers.first_output(service)
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
        self.containers.of(service)?.interface()
    }

    fn deviations(&self) -> Vec<String> {
        self.containers.deviations()
    }

    async fn ended(&mut self) -> (Name, Exit) {
        self.containers.ended().await
    }

    async fn stop(mut self) -> Stopped {
        self.containers.stop().await
    }
}
