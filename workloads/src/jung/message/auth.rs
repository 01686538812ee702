//! The task of the auth manager: AUTH.

use serde::{Deserialize, Serialize};

use super::{DeviceId, Password, Route, UserName, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the auth manager.
    AuthTask => AuthAnswer of Service::AuthManager;
    /// Authenticates the sender of a request and checks that they own the resource.
    "AUTH" Auth(Auth) => Granted, |it| Route::Key(it.username.as_str());
}

/// Authenticates the sender of a request and checks that they own the resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The user name of the sender.
    pub username: UserName,
    /// The password of the sender.
    pub password: Password,
    /// The owner of the resource.
    pub owner: UserName,
    /// The device concerned, if any.
    pub device: Option<DeviceId>,
}

/// The request is authorized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {}
