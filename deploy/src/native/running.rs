//! A deployment of processes, alive.

use std::time::Duration;

use futures_util::future::{join_all, pending, select_all};
use protocol::ids::Name;
use protocol::summary::{Exit, Teardown};

use super::unit::Unit;
use crate::{Running, Started, Stopped};

/// A deployment of processes. Dropping it kills them.
#[derive(Debug)]
pub struct NativeRunning {
    units: Vec<Unit>,
    started: Vec<Started>,
    grace: Duration,
}

impl NativeRunning {
    pub(super) const fn new(grace: Duration) -> Self {
        Self {
            units: Vec::new(),
            started: Vec::new(),
            grace,
        }
    }

    pub(super) fn push(&mut self, unit: Unit, process_after: Duration) {
        self.started.push(Started {
            service: unit.service().clone(),
            endpoint: unit.endpoint(),
            process_after,
            pid: unit.pid(),
        });
        self.units.push(unit);
    }

    /// Ends what was started before a later service could not be.
    pub(super) async fn abandon(mut self) {
        self.grace = Duration::ZERO;
        self.stop().await;
    }
}

impl Running for NativeRunning {
    fn services(&self) -> &[Started] {
        &self.started
    }

    fn pids(&self, service: &Name) -> Vec<u32> {
        self.units
            .iter()
            .find(|unit| unit.service() == service)
            .map(Unit::pids)
            .unwrap_or_default()
    }

    fn deviations(&self) -> Vec<String> {
        let mut all: Vec<String> = self.units.iter().flat_map(Unit::deviations).cloned().collect();
        all.dedup();
        all
    }

    async fn ended(&mut self) -> (Name, Exit) {
        let waiting: Vec<_> = self
            .units
            .iter_mut()
            .filter(|unit| !unit.is_reported())
            .map(|unit| Box::pin(unit.ended()))
            .collect();
        if waiting.is_empty() {
            return pending().await;
        }
        select_all(waiting).await.0
    }

    async fn stop(mut self) -> Stopped {
        let grace = self.grace;
        let ends = join_all(self.units.iter_mut().map(|unit| unit.stop(grace))).await;
        let mut stopped = Stopped {
            exits: Vec::new(),
            teardown: Teardown::default(),
        };
        for (unit, (exit, left)) in self.units.iter().zip(ends) {
            stopped.exits.push((unit.service().clone(), exit));
            stopped.teardown.leftovers.extend(left);
        }
        stopped
    }
}
