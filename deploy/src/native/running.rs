//! A deployment of processes, alive.

use std::time::{Duration, Instant};

use protocol::ids::Name;
use protocol::summary::Exit;

use super::unit::Unit;
use crate::member::{self, Member as _};
use crate::{Running, Started, Stopped};

/// A deployment of processes. Dropping it kills them.
#[derive(Debug)]
pub struct NativeRunning {
    from: Instant,
    units: Vec<Unit>,
    started: Vec<Started>,
    grace: Duration,
}

impl NativeRunning {
    pub(super) const fn new(from: Instant, grace: Duration) -> Self {
        Self {
            from,
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

    fn first_output(&self, service: &Name) -> Option<Duration> {
        let unit = self.units.iter().find(|unit| unit.service() == service)?;
        Some(unit.first_output()?.saturating_duration_since(self.from))
    }

    fn deviations(&self) -> Vec<String> {
        let mut all: Vec<String> = self.units.iter().flat_map(Unit::deviations).cloned().collect();
        all.dedup();
        all
    }

    async fn ended(&mut self) -> (Name, Exit) {
        member::ended(&mut self.units).await
    }

    async fn stop(mut self) -> Stopped {
        member::stop(&mut self.units, self.grace).await
    }
}
