//! AUTH: may this user do this?

use serde::{Deserialize, Serialize};

use super::{DeviceId, Password, Route, UserName, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the auth manager.
    AuthTask => AuthAnswer of Service::AuthManager;
    /// Checks who sent a request and whether the thing it is about is his.
    "AUTH" Auth(Auth) => Granted, |it| Route::Key(it.username.as_str());
}

/// Who sent a request, and what it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Who the sender says he is.
    pub username: UserName,
    /// His proof.
    pub password: Password,
    /// The user whose things the request is about.
    pub owner: UserName,
    /// The device that it is about, if any.
    pub device: Option<DeviceId>,
}

/// The sender is who he says and may do it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {}
