//! Device gateway (section 4.1.8): simulates devices that send a reading every second and execute commands.
//!
//! A device measures its own state, which only commands change, so the expected number of rule firings is known. The
//! gateway logs all commands that reached its devices; the results of a trial are validated against this log.

pub mod admin;
pub mod simulation;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::bus::{Bus, Recovery};
use super::handler::{Handler, Outcome, TaskContext};
use super::message::{Actuated, Attached, GatewayAnswer, GatewayTask, Reading, WriteReading};

use super::slot_clock::SlotClock;
use simulation::Simulation;

/// The gateway and its devices.
#[derive(Debug)]
pub struct DeviceGateway<B> {
    bus: Arc<B>,
    name: String,
    simulation: Arc<Mutex<Simulation>>,
}

impl<B: Bus> Handler for DeviceGateway<B> {
    type Tasks = GatewayTask;
    const RECOVERY: Recovery = Recovery::Replay;

    fn accepts(&self, task: &GatewayTask) -> bool {
        task.gateway().is_none_or(|gateway| gateway == self.name)
    }

    async fn handle(&self, _at: TaskContext, task: GatewayTask) -> Outcome<Self> {
        self.apply(task)
    }

    fn replay(&self, _at: TaskContext, task: GatewayTask) {
        // The result was sent when it was processed.
        let _ = self.apply(task);
    }

    async fn background(&self) {
        let mut clock = SlotClock::start();
        loop {
            let slot = clock.next().await;
            self.send_readings(slot);
        }
    }
}

impl<B: Bus> DeviceGateway<B> {
    /// A gateway with this name.
    #[must_use]
    pub fn new(bus: Arc<B>, name: String, simulation: Arc<Mutex<Simulation>>) -> Self {
        Self { bus, name, simulation }
    }

    fn apply(&self, task: GatewayTask) -> Outcome<Self> {
        match task {
            GatewayTask::Attach(attach) => {
                self.simulation().attach(attach.device, attach.value);
                Ok(Attached {}.into())
            }
            GatewayTask::Actuate(actuate) => {
                self.simulation().actuate(&actuate)?;
                Ok(Actuated {}.into())
            }
            GatewayTask::Ping(ping) => Ok(GatewayAnswer::Pong(ping.pong())),
        }
    }

    fn send_readings(&self, slot: usize) {
        let timestamp_ms = now_ms();
        let readings = self.simulation().measure(slot);
        for (device, value) in readings {
            let reading = Reading { timestamp_ms, value };
            // A reading that cannot be sent is lost, as with a real device; the bus has counted it.
            let _ = self.bus.send(Uuid::new_v4(), WriteReading { device, reading });
        }
    }

    fn simulation(&self) -> MutexGuard<'_, Simulation> {
        self.simulation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Current time in ms since the Unix epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
