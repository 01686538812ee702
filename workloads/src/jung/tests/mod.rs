//! Each service alone, with a fake bus.

mod api;
mod auth_manager;
mod devices;
mod hostile;
mod openapi;
mod registries;
mod rule_engine;

use uuid::Uuid;

use super::handler::{Handler, Outcome, TaskContext};
use super::message::{Call, Device, DeviceId, Password, User, UserName};

pub fn user_name(name: &str) -> UserName {
    UserName::try_from(name.to_owned()).unwrap()
}

pub fn device_id(name: &str) -> DeviceId {
    DeviceId::try_from(name.to_owned()).unwrap()
}

pub fn user(name: &str, password: &str) -> User {
    User {
        username: user_name(name),
        password: Password(password.into()),
        devices: vec![],
        rules: vec![],
    }
}

pub fn device(name: &str, owner: &str) -> Device {
    Device {
        id: device_id(name),
        owner: user_name(owner),
        gateway: "g".into(),
    }
}

/// The context of a new task.
pub fn context() -> TaskContext {
    TaskContext {
        id: Uuid::new_v4(),
        trace: Uuid::nil(),
        partition: 0,
    }
}

/// Lets a service process a new task.
pub async fn process<H: Handler, C: Call<Tasks = H::Tasks>>(handler: &H, call: C) -> Outcome<H> {
    handler.handle(context(), call.into_task()).await
}
