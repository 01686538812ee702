//! JSON bodies of the API's requests and replies.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::message::{Device, DeviceId, Operator, Password, Reading, Rule, User, UserName};

/// The body of `POST /users`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserBody {
    /// The user name.
    pub username: UserName,
    /// The password.
    pub password: Password,
}

/// A user, without the password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserView {
    /// The user name.
    pub username: UserName,
    /// The user's devices.
    pub devices: Vec<DeviceId>,
    /// The user's rules.
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
    /// The device id; a UUID by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<DeviceId>,
    /// The device gateway; the API gateway's default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<DeviceId>,
    /// The initial state.
    #[serde(default)]
    pub value: f64,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceView {
    /// The device id.
    pub id: DeviceId,
    /// The owner.
    pub owner: UserName,
    /// The device gateway.
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

/// A page of readings, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageView {
    /// The device.
    pub device: DeviceId,
    /// Page number, starting at 0.
    pub page: u32,
    /// Page size.
    pub size: u32,
    /// How many readings the device has sent.
    pub total: u64,
    /// Number of readings that are stored.
    pub kept: u64,
    /// The readings of this page.
    pub readings: Vec<Reading>,
}

/// The body of `POST .../readings`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingsBody {
    /// Readings to store, oldest first.
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
    /// The new state of the device.
    pub value: f64,
}

/// A command that was sent to the device gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandView {
    /// The command id, which also appears in the device gateway's command log.
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
    /// The value to compare with.
    pub operand: f64,
    /// The state that is sent to the device when a reading violates the rule.
    pub command: f64,
}

/// A created rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleView {
    /// The rule id.
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
    /// In order of creation.
    pub rules: Vec<Rule>,
}
