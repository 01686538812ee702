//! Tasks of the user registry: CREATE, GET, `ADD_DEVICE`, `ADD_RULE`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DeviceId, Password, Route, UserName, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the user registry.
    UserTask => UserAnswer of Service::UserRegistry;
    /// Makes a user.
    "CREATE" Create(CreateUser) => UserCreated, |it| Route::Key(it.username.as_str());
    /// Fetches a user.
    "GET" Get(GetUser) => User, |it| Route::Key(it.username.as_str());
    /// Gives a user a device.
    "ADD_DEVICE" AddDevice(AddDevice) => DeviceAdded, |it| Route::Key(it.username.as_str());
    /// Gives a user a rule.
    "ADD_RULE" AddRule(AddRule) => RuleAdded, |it| Route::Key(it.username.as_str());
}

/// Makes a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// The name that he wants.
    pub username: UserName,
    /// The password that he chose.
    pub password: Password,
}

/// The user is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserCreated {}

/// Fetches a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetUser {
    /// His name.
    pub username: UserName,
}

/// All that is known of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// His name.
    pub username: UserName,
    /// What the auth manager compares with; the API gateway never shows it.
    pub password: Password,
    /// His devices, in the order they came.
    pub devices: Vec<DeviceId>,
    /// His rules, in the order they came.
    pub rules: Vec<Uuid>,
}

/// Gives a user a device; sent by the device registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddDevice {
    /// The user.
    pub username: UserName,
    /// The device; adding it again changes nothing.
    pub device: DeviceId,
}

/// The device is the user's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceAdded {}

/// Gives a user a rule; sent by the API gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddRule {
    /// The user.
    pub username: UserName,
    /// The rule; adding it again changes nothing.
    pub rule: Uuid,
}

/// The rule is the user's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleAdded {}
