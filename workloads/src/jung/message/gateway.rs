//! Tasks of a device gateway: ATTACH and ACTUATE.
//!
//! Every gateway reads the whole topic in a group of its own and obeys what is addressed to it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DeviceId, Origin, Route, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of a device gateway.
    GatewayTask => GatewayAnswer of Service::DeviceGateway;
    /// Hangs a device on the gateway.
    "ATTACH" Attach(Attach) => Attached, |it| Route::Key(it.device.as_str());
    /// Changes the state of a device.
    "ACTUATE" Actuate(Actuate) => Actuated, |it| Route::Key(it.device.as_str());
}

impl GatewayTask {
    /// The gateway that it is meant for; `None`: any.
    #[must_use]
    pub fn gateway(&self) -> Option<&str> {
        match self {
            Self::Attach(attach) => Some(&attach.gateway),
            Self::Actuate(actuate) => Some(&actuate.gateway),
            Self::Ping(_) => None,
        }
    }
}

/// Hangs a device on the gateway; sent by the device registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// The gateway.
    pub gateway: String,
    /// The device; attaching it again changes nothing.
    pub device: DeviceId,
    /// The state that it starts with.
    pub value: f64,
}

/// The device sends readings from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attached {}

/// Changes the state of a device; sent by the device commander, which wants no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actuate {
    /// The gateway.
    pub gateway: String,
    /// The identity of the command; a device obeys it once.
    pub command: Uuid,
    /// The device.
    pub device: DeviceId,
    /// The state that it shall take.
    pub value: f64,
    /// Who wants it.
    pub origin: Origin,
}

/// The device has the new state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actuated {}
