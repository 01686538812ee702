//! Tasks of a device gateway: ATTACH and ACTUATE.
//!
//! Every gateway reads the whole topic in its own consumer group and processes the tasks addressed to it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DeviceId, Origin, Route, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of a device gateway.
    GatewayTask => GatewayAnswer of Service::DeviceGateway;
    /// Attaches a device to the gateway.
    "ATTACH" Attach(Attach) => Attached, |it| Route::Key(it.device.as_str());
    /// Changes the state of a device.
    "ACTUATE" Actuate(Actuate) => Actuated, |it| Route::Key(it.device.as_str());
}

impl GatewayTask {
    /// The gateway to which the task is addressed; `None` for all.
    #[must_use]
    pub fn gateway(&self) -> Option<&str> {
        match self {
            Self::Attach(attach) => Some(&attach.gateway),
            Self::Actuate(actuate) => Some(&actuate.gateway),
            Self::Ping(_) => None,
        }
    }
}

/// Attaches a device to the gateway. Sent by the device registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// The gateway.
    pub gateway: String,
    /// The device; attaching it again has no effect.
    pub device: DeviceId,
    /// The initial state.
    pub value: f64,
}

/// The device is attached and sends readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attached {}

/// Changes the state of a device. Sent by the device commander without waiting for a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actuate {
    /// The gateway.
    pub gateway: String,
    /// The command id; a device executes it once.
    pub command: Uuid,
    /// The device.
    pub device: DeviceId,
    /// The new state.
    pub value: f64,
    /// Whether a user or a rule sent it.
    pub origin: Origin,
}

/// The device has the new state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actuated {}
