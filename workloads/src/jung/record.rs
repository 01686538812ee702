//! What a device gateway tells of its devices: the truth that a trial is checked against.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::message::{DeviceId, Origin};

/// A command that reached its device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number in the book, from 0.
    pub number: u64,
    /// The command's identity.
    pub command: Uuid,
    /// The device.
    pub device: DeviceId,
    /// Who wanted it.
    pub origin: Origin,
    /// The state of the device before.
    pub before: f64,
    /// The state that it took.
    pub after: f64,
    /// When, ns since the gateway came up.
    pub at_ns: u64,
    /// When the device first sent this state in a reading, ns since the gateway came up; `None`: not before the next
    /// command changed it.
    pub read_at_ns: Option<u64>,
}

/// A device as others see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Its name.
    pub device: DeviceId,
    /// Its state.
    pub value: f64,
    /// Readings that it has sent.
    pub readings: u64,
    /// Commands that it has obeyed.
    pub commands: u64,
    /// How long it is attached, ns.
    pub attached_ns: u64,
}

/// The reply to `GET /devices`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    /// The gateway's clock, ns since it came up.
    pub now_ns: u64,
    /// All devices by name.
    pub devices: Vec<Seen>,
}

/// The reply to `GET /commands`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// The gateway's clock, ns since it came up.
    pub now_ns: u64,
    /// Commands that fell out of the book.
    pub dropped: u64,
    /// The commands, in the order they came; ask again from the number after the last until none comes.
    pub commands: Vec<Entry>,
}
