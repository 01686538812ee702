//! The JSON of the API's requests and replies.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::message::{Device, DeviceId, Operator, Password, Reading, Rule, User, UserName};

/// The body of `POST /users`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserBody {
    /// The name that he wants.
    pub username: UserName,
    /// The password that he chose.
    pub password: Password,
}

/// A user, without the password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserView {
    /// His name.
    pub username: UserName,
    /// His devices.
    pub devices: Vec<DeviceId>,
    /// His rules.
    pub rules: Vec<Uuid>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            username: user.username,
            devices: user.devices,
            rules: user.rules,
        }
    }
}

/// The body of `POST .../devices`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceBody {
    /// The name that it shall have; without one it gets a UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<DeviceId>,
    /// The device gateway that it hangs on; without one, the default's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<DeviceId>,
    /// The state that it starts with.
    #[serde(default)]
    pub value: f64,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceView {
    /// Its name.
    pub id: DeviceId,
    /// Whose it is.
    pub owner: UserName,
    /// The device gateway that it hangs on.
    pub gateway: String,
}

impl From<Device> for DeviceView {
    fn from(device: Device) -> Self {
        Self {
            id: device.id,
            owner: device.owner,
            gateway: device.gateway,
        }
    }
}

/// A page of readings, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageView {
    /// The device.
    pub device: DeviceId,
    /// Which page, the first being 0.
    pub page: u32,
    /// Readings a page.
    pub size: u32,
    /// How many readings the device has sent.
    pub total: u64,
    /// How many of them are kept, and can be had.
    pub kept: u64,
    /// Those of this page.
    pub readings: Vec<Reading>,
}

/// The body of `POST .../readings`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingsBody {
    /// Readings to keep, the oldest first.
    pub readings: Vec<Reading>,
}

/// The reply to `POST .../readings`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenView {
    /// How many readings the device has sent.
    pub total: u64,
}

/// The body of `POST .../commands`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandBody {
    /// The state that the device shall take.
    pub value: f64,
}

/// A command that is on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandView {
    /// Its identity, by which the device gateway's book shows it.
    pub command: Uuid,
    /// The device.
    pub device: DeviceId,
}

/// The body of `POST .../rules`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleBody {
    /// How readings are compared.
    pub operator: Operator,
    /// What they are compared with.
    pub operand: f64,
    /// The state that the device is sent when a reading does not comply.
    pub command: f64,
}

/// A rule that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleView {
    /// Its identity.
    pub rule: Uuid,
    /// The device.
    pub device: DeviceId,
}

/// The rules of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesView {
    /// The device.
    pub device: DeviceId,
    /// In the order they came.
    pub rules: Vec<Rule>,
}
