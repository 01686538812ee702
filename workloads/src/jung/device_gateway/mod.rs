//! Device gateway (section 4.1.8): simulates devices, which send a reading every second and obey commands.
//!
//! The state of a device is what it measures, and only commands change it, so it is known how often rules have to fire.
//! The gateway keeps the book of all commands that reached its devices: the truth that a trial is checked against.

pub mod admin;
pub mod book;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::bus::{Bus, Memory};
use super::every_second::EverySecond;
use super::handler::{At, Handler, Outcome};
use super::message::{Actuated, Attached, GatewayAnswer, GatewayTask, Reading, WriteReading};

use book::Book;

/// The gateway and its devices.
#[derive(Debug)]
pub struct DeviceGateway<B> {
    bus: Arc<B>,
    name: String,
    book: Arc<Mutex<Book>>,
}

impl<B: Bus> Handler for DeviceGateway<B> {
    type Tasks = GatewayTask;
    const MEMORY: Memory = Memory::Log;

    fn concerns(&self, task: &GatewayTask) -> bool {
        task.gateway().is_none_or(|gateway| gateway == self.name)
    }

    async fn handle(&self, _at: At, task: GatewayTask) -> Outcome<Self> {
        self.apply(task)
    }

    fn replay(&self, _at: At, task: GatewayTask) {
        // It was answered when it was done.
        let _ = self.apply(task);
    }

    async fn background(&self) {
        let mut clock = EverySecond::start();
        loop {
            let slot = clock.next().await;
            self.send_readings(slot);
        }
    }
}

impl<B: Bus> DeviceGateway<B> {
    /// The gateway of this name, which keeps its book where others can look.
    #[must_use]
    pub fn new(bus: Arc<B>, name: String, book: Arc<Mutex<Book>>) -> Self {
        Self { bus, name, book }
    }

    fn apply(&self, task: GatewayTask) -> Outcome<Self> {
        match task {
            GatewayTask::Attach(attach) => {
                self.book().attach(attach.device, attach.value);
                Ok(Attached {}.into())
            }
            GatewayTask::Actuate(actuate) => {
                self.book().actuate(&actuate)?;
                Ok(Actuated {}.into())
            }
            GatewayTask::Ping(ping) => Ok(GatewayAnswer::Pong(ping.pong())),
        }
    }

    fn send_readings(&self, slot: usize) {
        let timestamp_ms = now_ms();
        let readings = self.book().measure(slot);
        for (device, value) in readings {
            let reading = Reading { timestamp_ms, value };
            // A reading that cannot be sent is lost as a real device's would be; the bus has counted it.
            let _ = self.bus.tell(Uuid::new_v4(), WriteReading { device, reading });
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This moment, ms since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
