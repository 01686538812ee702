//! Tasks of the user registry: CREATE, GET, `ADD_DEVICE`, `ADD_RULE`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DeviceId, Password, Route, UserName, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the user registry.
    UserTask => UserAnswer of Service::UserRegistry;
    /// Creates a user.
    "CREATE" Create(CreateUser) => UserCreated, |it| Route::Key(it.username.as_str());
    /// Fetches a user.
    "GET" Get(GetUser) => User, |it| Route::Key(it.username.as_str());
    /// Adds a device to a user.
    "ADD_DEVICE" AddDevice(AddDevice) => DeviceAdded, |it| Route::Key(it.username.as_str());
    /// Adds a rule to a user.
    "ADD_RULE" AddRule(AddRule) => RuleAdded, |it| Route::Key(it.username.as_str());
}

/// Creates a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// The user name.
    pub username: UserName,
    /// The password.
    pub password: Password,
}

/// The user was created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserCreated {}

/// Fetches a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetUser {
    /// The user name.
    pub username: UserName,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user name.
    pub username: UserName,
    /// The password, for the auth manager; the API gateway never returns it.
    pub password: Password,
    /// The user's devices, in order of creation.
    pub devices: Vec<DeviceId>,
    /// The user's rules, in order of creation.
    pub rules: Vec<Uuid>,
}

/// Adds a device to a user. Sent by the device registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddDevice {
    /// The user.
    pub username: UserName,
    /// The device; adding it again has no effect.
    pub device: DeviceId,
}

/// The device was added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceAdded {}

/// Adds a rule to a user. Sent by the API gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddRule {
    /// The user.
    pub username: UserName,
    /// The rule; adding it again has no effect.
    pub rule: Uuid,
}

/// The rule was added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleAdded {}
