//! The device gateway's record of its devices and commands, against which the results of a trial are validated.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::message::{DeviceId, Origin};

/// A command that was executed by its device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Sequence number in the command log, starting at 0.
    pub number: u64,
    /// The command id.
    pub command: Uuid,
    /// The device.
    pub device: DeviceId,
    /// Whether a user or a rule sent it.
    pub origin: Origin,
    /// The device's state before the command.
    pub before: f64,
    /// The device's state after the command.
    pub after: f64,
    /// Execution time, in ns since the gateway started.
    pub at_ns: u64,
    /// When the device first sent this state in a reading, in ns since the gateway started; `None` if the next command
    /// came first.
    pub read_at_ns: Option<u64>,
}

/// The state and counters of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The device id.
    pub device: DeviceId,
    /// The current state.
    pub value: f64,
    /// Number of readings sent.
    pub readings: u64,
    /// Number of commands executed.
    pub commands: u64,
    /// Time since it was attached, in ns.
    pub attached_ns: u64,
}

/// The reply to `GET /devices`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    /// The gateway's clock, ns since it came up.
    pub now_ns: u64,
    /// All devices, sorted by id.
    pub devices: Vec<Seen>,
}

/// The reply to `GET /commands`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// The gateway's clock, ns since it came up.
    pub now_ns: u64,
    /// Number of commands evicted from the log.
    pub dropped: u64,
    /// The commands in order. Request further pages from the number after the last until a page is empty.
    pub commands: Vec<Entry>,
}
