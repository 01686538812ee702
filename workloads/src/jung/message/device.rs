//! Tasks of the device registry: CREATE, GET, and ABANDON, which reverts a failed CREATE.

use serde::{Deserialize, Serialize};

use super::{DeviceId, Route, UserName, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the device registry.
    DeviceTask => DeviceAnswer of Service::DeviceRegistry;
    /// Registers a device.
    "CREATE" Create(CreateDevice) => DeviceCreated, |it| Route::Key(it.device.as_str());
    /// Fetches a device.
    "GET" Get(GetDevice) => Device, |it| Route::Key(it.device.as_str());
    /// Reverts a CREATE.
    "ABANDON" Abandon(AbandonDevice) => Abandoned, |it| Route::Key(it.device.as_str());
}

/// Registers a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateDevice {
    /// The device id.
    pub device: DeviceId,
    /// The owner.
    pub owner: UserName,
    /// The device gateway.
    pub gateway: String,
    /// The initial state of the simulated device.
    pub value: f64,
}

/// The device is registered, added to its owner and attached to its gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceCreated {}

/// Fetches a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetDevice {
    /// The device id.
    pub device: DeviceId,
}

/// A registered device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The device id.
    pub id: DeviceId,
    /// The owner.
    pub owner: UserName,
    /// The device gateway.
    pub gateway: String,
}

/// Reverts a CREATE. The device registry sends it to itself, so that an instance that replays the topic sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbandonDevice {
    /// The device.
    pub device: DeviceId,
}

/// The device was removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abandoned {}
