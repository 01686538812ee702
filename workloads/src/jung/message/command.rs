//! COMMAND: the task of the device commander.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DeviceId, Route, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the device commander.
    CommandTask => CommandAnswer of Service::DeviceCommander;
    /// Sends a device a new state.
    "COMMAND" Command(SendCommand) => Accepted, |it| Route::Key(it.device.as_str());
}

/// Who wanted a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A user, through the API.
    User,
    /// A rule that was violated.
    Rule,
}

/// Sends a device a new state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendCommand {
    /// The identity of the command; a device obeys it once.
    pub command: Uuid,
    /// The device.
    pub device: DeviceId,
    /// The state that it shall take.
    pub value: f64,
    /// Who wants it.
    pub origin: Origin,
}

/// The command is on its way to the device's gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {}
