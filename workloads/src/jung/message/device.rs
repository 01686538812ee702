//! Tasks of the device registry: CREATE, GET, and ABANDON, which takes a CREATE back that could not be finished.

use serde::{Deserialize, Serialize};

use super::{DeviceId, Route, UserName, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the device registry.
    DeviceTask => DeviceAnswer of Service::DeviceRegistry;
    /// Makes a device known and gives it to its owner.
    "CREATE" Create(CreateDevice) => DeviceCreated, |it| Route::Key(it.device.as_str());
    /// Fetches a device.
    "GET" Get(GetDevice) => Device, |it| Route::Key(it.device.as_str());
    /// Takes back a CREATE.
    "ABANDON" Abandon(AbandonDevice) => Abandoned, |it| Route::Key(it.device.as_str());
}

/// Makes a device known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateDevice {
    /// The name that it shall have.
    pub device: DeviceId,
    /// Whose it is.
    pub owner: UserName,
    /// The device gateway that it hangs on.
    pub gateway: String,
    /// The state that the simulated device starts with.
    pub value: f64,
}

/// The device is known to the registry, its owner and its gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceCreated {}

/// Fetches a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetDevice {
    /// Its name.
    pub device: DeviceId,
}

/// All that is known of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its name.
    pub id: DeviceId,
    /// Whose it is.
    pub owner: UserName,
    /// The device gateway that it hangs on.
    pub gateway: String,
}

/// Takes back a CREATE; the device registry sends it to itself, so that the topic tells the whole story to the
/// instance that takes over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbandonDevice {
    /// The device that nobody wanted.
    pub device: DeviceId,
}

/// The device is forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abandoned {}
