//! Device registry (section 4.1.4): devices and their owners, in memory.
//!
//! CREATE registers a device with its owner's name; the registry then adds it to the user registry and attaches it to
//! its gateway.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::bus::{Bus, Recovery};
use super::handler::{Handler, Outcome, TaskContext};
use super::message::{
    AbandonDevice, Abandoned, AddDevice, Attach, CreateDevice, Device, DeviceAnswer, DeviceCreated, DeviceId,
    DeviceTask, Fault, FaultKind,
};

/// The device registry. A device is in the instance that owns its partition.
#[derive(Debug)]
pub struct DeviceRegistry<B> {
    bus: Arc<B>,
    devices: RefCell<HashMap<DeviceId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    device: Device,
    /// The task that created it; the same task may be processed again.
    created_by: Uuid,
}

impl<B: Bus> Handler for DeviceRegistry<B> {
    type Tasks = DeviceTask;
    const RECOVERY: Recovery = Recovery::Replay;

    async fn handle(&self, at: TaskContext, task: DeviceTask) -> Outcome<Self> {
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

    fn replay(&self, at: TaskContext, task: DeviceTask) {
        match task {
            // A second CREATE of the same device was refused before and is refused again.
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

    async fn create(&self, at: TaskContext, create: CreateDevice) -> Outcome<Self> {
        self.insert(at.id, &create)?;
        if let Err(fault) = self.notify_others(at, &create).await {
            if fault.kind == FaultKind::NotFound {
                // The owner does not exist: remove the device here, and in the log for an instance that takes over.
                self.devices.borrow_mut().remove(&create.device);
                self.bus.send(at.trace, AbandonDevice { device: create.device })?;
            }
            return Err(fault);
        }
        Ok(DeviceCreated {}.into())
    }

    fn insert(&self, created_by: Uuid, create: &CreateDevice) -> Result<(), Fault> {
        let mut devices = self.devices.borrow_mut();
        if devices
            .get(&create.device)
            .is_some_and(|entry| entry.created_by != created_by)
        {
            return Err(Fault::conflict("device", &create.device));
        }
        let device = Device {
            id: create.device.clone(),
            owner: create.owner.clone(),
            gateway: create.gateway.clone(),
        };
        devices.insert(create.device.clone(), Entry { device, created_by });
        Ok(())
    }

    /// Adds the device to its owner and attaches it to its gateway.
    async fn notify_others(&self, at: TaskContext, create: &CreateDevice) -> Result<(), Fault> {
        let add = AddDevice {
            username: create.owner.clone(),
            device: create.device.clone(),
        };
        self.bus.request(at.trace, add).await?;
        let attach = Attach {
            gateway: create.gateway.clone(),
            device: create.device.clone(),
            value: create.value,
        };
        self.bus.request(at.trace, attach).await?;
        Ok(())
    }
}
