//! The task of the device commander: COMMAND.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DeviceId, Route, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the device commander.
    CommandTask => CommandAnswer of Service::DeviceCommander;
    /// Sends a new state to a device.
    "COMMAND" Command(SendCommand) => Accepted, |it| Route::Key(it.device.as_str());
}

/// The origin of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A user, through the API.
    User,
    /// A violated rule.
    Rule,
}

/// Sends a new state to a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendCommand {
    /// The command id; a device executes it once.
    pub command: Uuid,
    /// The device.
    pub device: DeviceId,
    /// The new state.
    pub value: f64,
    /// Whether a user or a rule sends it.
    pub origin: Origin,
}

/// The command was forwarded to the device's gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {}
