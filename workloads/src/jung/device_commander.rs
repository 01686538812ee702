//! Device commander (section 4.1.6): sends commands to the gateway that a device hangs on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::bus::{Bus, Memory};
use super::handler::{At, Handler, Outcome};
use super::message::{Accepted, Actuate, CommandAnswer, CommandTask, DeviceId, Fault, GetDevice, SendCommand};

/// The most devices that are remembered; past it all are asked for again.
const CACHED: usize = 100_000;

/// The commander, which remembers where devices hang.
#[derive(Debug)]
pub struct DeviceCommander<B> {
    bus: Arc<B>,
    gateways: RefCell<HashMap<DeviceId, String>>,
}

impl<B: Bus> Handler for DeviceCommander<B> {
    type Tasks = CommandTask;
    const MEMORY: Memory = Memory::None;

    async fn handle(&self, at: At, task: CommandTask) -> Outcome<Self> {
        match task {
            CommandTask::Command(command) => self.send(at, command).await,
            CommandTask::Ping(ping) => Ok(CommandAnswer::Pong(ping.pong())),
        }
    }
}

impl<B: Bus> DeviceCommander<B> {
    /// A commander that knows no device yet.
    #[must_use]
    pub fn new(bus: Arc<B>) -> Self {
        Self {
            bus,
            gateways: RefCell::default(),
        }
    }

    /// Sends the command on, without waiting for the device.
    async fn send(&self, at: At, command: SendCommand) -> Outcome<Self> {
        let SendCommand {
            command,
            device,
            value,
            origin,
        } = command;
        let gateway = self.gateway_of(at, &device).await?;
        self.bus.tell(
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

    async fn gateway_of(&self, at: At, device: &DeviceId) -> Result<String, Fault> {
        if let Some(gateway) = self.gateways.borrow().get(device) {
            return Ok(gateway.clone());
        }
        let found = self.bus.ask(at.trace, GetDevice { device: device.clone() }).await?;
        let mut gateways = self.gateways.borrow_mut();
        if gateways.len() >= CACHED {
            gateways.clear();
        }
        gateways.insert(found.id, found.gateway.clone());
        Ok(found.gateway)
    }
}
