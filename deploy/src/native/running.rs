//! A deployment of processes, alive.

use std::time::Duration;

use protocol::ids::Name;
use protocol::summary::Exit;

use super::unit::Unit;
use crate::member::Members;
use crate::{Processes, Running, Started, Stopped};

/// A deployment of processes. Dropping it kills them.
#[derive(Debug)]
pub struct NativeRunning {
    pub(super) units: Members<Unit>,
}

impl Running for NativeRunning {
    fn services(&self) -> &[Started] {
        self.units.started()
    }

    fn processes(&self, service: &Name) -> Processes {
        self.units.processes(service)
    }

    fn first_output(&self, service: &Name) -> Option<Duration> {
        self.units.first_output(service)
    }

    fn deviations(&self) -> Vec<String> {
        self.units.deviations()
    }

    async fn ended(&mut self) -> (Name, Exit) {
        self.units.ended().await
    }

    async fn stop(mut self) -> Stopped {
        self.units.stop().await
    }
}
