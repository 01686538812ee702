//! Device registry (section 4.1.4): devices and whose they are, in memory.
//!
//! A device is introduced by CREATE with its owner's name; the registry then tells the user registry, and hangs the
//! device on its gateway.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::bus::{Bus, Memory};
use super::handler::{At, Handler, Outcome};
use super::message::{
    AbandonDevice, Abandoned, AddDevice, Attach, CreateDevice, Device, DeviceAnswer, DeviceCreated, DeviceId,
    DeviceTask, Fault, Kind,
};

/// The registry; a device lives in the instance that has the partition of its name.
#[derive(Debug)]
pub struct DeviceRegistry<B> {
    bus: Arc<B>,
    devices: RefCell<HashMap<DeviceId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    device: Device,
    /// The task that made it: done again, it goes on where it was.
    made_by: Uuid,
}

impl<B: Bus> Handler for DeviceRegistry<B> {
    type Tasks = DeviceTask;
    const MEMORY: Memory = Memory::Log;

    async fn handle(&self, at: At, task: DeviceTask) -> Outcome<Self> {
        match task {
            DeviceTask::Create(create) => self.create(at, create).await,
            DeviceTask::Get(get) => match self.devices.borrow().get(&get.device) {
                Some(entry) => Ok(entry.device.clone().into()),
                None => Err(Fault::not_found("device", &get.device)),
            },
            DeviceTask::Abandon(AbandonDevice { device }) => {
                self.devices.borrow_mut().remove(&device);
                Ok(Abandoned {}.into())
            }
            DeviceTask::Ping(ping) => Ok(DeviceAnswer::Pong(ping.pong())),
        }
    }

    fn replay(&self, at: At, task: DeviceTask) {
        match task {
            // A second CREATE of the same device was refused then and is now.
            DeviceTask::Create(create) => drop(self.insert(at.id, &create)),
            DeviceTask::Abandon(AbandonDevice { device }) => drop(self.devices.borrow_mut().remove(&device)),
            DeviceTask::Get(_) | DeviceTask::Ping(_) => {}
        }
    }
}

impl<B: Bus> DeviceRegistry<B> {
    /// An empty registry.
    #[must_use]
    pub fn new(bus: Arc<B>) -> Self {
        Self {
            bus,
            devices: RefCell::default(),
        }
    }

    async fn create(&self, at: At, create: CreateDevice) -> Outcome<Self> {
        self.insert(at.id, &create)?;
        let told = self.tell_others(at, &create).await;
        if let Err(fault) = told {
            if fault.kind == Kind::NotFound {
                // Nobody owns it: forget it here at once, and in the log for whoever takes over.
                self.devices.borrow_mut().remove(&create.device);
                self.bus.tell(at.trace, AbandonDevice { device: create.device })?;
            }
            return Err(fault);
        }
        Ok(DeviceCreated {}.into())
    }

    fn insert(&self, made_by: Uuid, create: &CreateDevice) -> Result<(), Fault> {
        let mut devices = self.devices.borrow_mut();
        if devices
            .get(&create.device)
            .is_some_and(|entry| entry.made_by != made_by)
        {
            return Err(Fault::conflict("device", &create.device));
        }
        let device = Device {
            id: create.device.clone(),
            owner: create.owner.clone(),
            gateway: create.gateway.clone(),
        };
        devices.insert(create.device.clone(), Entry { device, made_by });
        Ok(())
    }

    async fn tell_others(&self, at: At, create: &CreateDevice) -> Result<(), Fault> {
        let add = AddDevice {
            username: create.owner.clone(),
            device: create.device.clone(),
        };
        self.bus.ask(at.trace, add).await?;
        let attach = Attach {
            gateway: create.gateway.clone(),
            device: create.device.clone(),
            value: create.value,
        };
        self.bus.ask(at.trace, attach).await?;
        Ok(())
    }
}
