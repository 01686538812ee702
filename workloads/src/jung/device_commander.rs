//! Device commander (section 4.1.6): forwards commands to the gateway of a device.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::bus::{Bus, Recovery};
use super::handler::{Handler, Outcome, TaskContext};
use super::message::{Accepted, Actuate, CommandAnswer, CommandTask, DeviceId, Fault, GetDevice, SendCommand};

/// Maximum number of cached devices; the cache is cleared when it is full.
const MAX_CACHED: usize = 100_000;

/// The device commander. It caches the gateway of each device.
#[derive(Debug)]
pub struct DeviceCommander<B> {
    bus: Arc<B>,
    gateways: RefCell<HashMap<DeviceId, String>>,
}

impl<B: Bus> Handler for DeviceCommander<B> {
    type Tasks = CommandTask;
    const RECOVERY: Recovery = Recovery::Stateless;

    async fn handle(&self, at: TaskContext, task: CommandTask) -> Outcome<Self> {
        match task {
            CommandTask::Command(command) => self.forward(at, command).await,
            CommandTask::Ping(ping) => Ok(CommandAnswer::Pong(ping.pong())),
        }
    }
}

impl<B: Bus> DeviceCommander<B> {
    /// A commander with an empty cache.
    #[must_use]
    pub fn new(bus: Arc<B>) -> Self {
        Self {
            bus,
            gateways: RefCell::default(),
        }
    }

    /// Forwards the command without waiting for the device.
    async fn forward(&self, at: TaskContext, command: SendCommand) -> Outcome<Self> {
        let SendCommand {
            command,
            device,
            value,
            origin,
        } = command;
        let gateway = self.gateway_of(at, &device).await?;
        self.bus.send(
            at.trace,
            Actuate {
                gateway,
                command,
                device,
                value,
                origin,
            },
        )?;
        Ok(Accepted {}.into())
    }

    async fn gateway_of(&self, at: TaskContext, device: &DeviceId) -> Result<String, Fault> {
        if let Some(gateway) = self.gateways.borrow().get(device) {
            return Ok(gateway.clone());
        }
        let found = self.bus.request(at.trace, GetDevice { device: device.clone() }).await?;
        let mut gateways = self.gateways.borrow_mut();
        if gateways.len() >= MAX_CACHED {
            gateways.clear();
        }
        gateways.insert(found.id, found.gateway.clone());
        Ok(found.gateway)
    }
}
