//! User registry (section 4.1.3): users, their devices and their rules, in memory.

use std::cell::RefCell;
use std::collections::HashMap;

use uuid::Uuid;

use super::bus::Memory;
use super::handler::{At, Handler, Outcome};
use super::message::{
    AddDevice, AddRule, CreateUser, DeviceAdded, Fault, RuleAdded, User, UserAnswer, UserCreated, UserName, UserTask,
};

/// The registry; a user lives in the instance that has the partition of his name.
#[derive(Debug, Default)]
pub struct UserRegistry {
    users: RefCell<HashMap<UserName, Entry>>,
}

#[derive(Debug)]
struct Entry {
    user: User,
    /// The task that made him: done again, it succeeds again.
    made_by: Uuid,
}

impl Handler for UserRegistry {
    type Tasks = UserTask;
    const MEMORY: Memory = Memory::Log;

    async fn handle(&self, at: At, task: UserTask) -> Outcome<Self> {
        self.apply(at, task)
    }

    fn replay(&self, at: At, task: UserTask) {
        if !matches!(task, UserTask::Get(_)) {
            // It was answered when it was done.
            let _ = self.apply(at, task);
        }
    }
}

impl UserRegistry {
    fn apply(&self, at: At, task: UserTask) -> Outcome<Self> {
        match task {
            UserTask::Create(create) => self.create(at.id, create),
            UserTask::Get(get) => self.with(&get.username, |user| user.clone()).map(UserAnswer::from),
            UserTask::AddDevice(add) => self.add_device(add),
            UserTask::AddRule(add) => self.add_rule(&add),
            UserTask::Ping(ping) => Ok(UserAnswer::Pong(ping.pong())),
        }
    }

    fn create(&self, made_by: Uuid, create: CreateUser) -> Outcome<Self> {
        let mut users = self.users.borrow_mut();
        if let Some(entry) = users.get(&create.username) {
            return if entry.made_by == made_by {
                Ok(UserCreated {}.into())
            } else {
                Err(Fault::conflict("user", &create.username))
            };
        }
        let CreateUser { username, password } = create;
        let user = User {
            username: username.clone(),
            password,
            devices: Vec::new(),
            rules: Vec::new(),
        };
        users.insert(username, Entry { user, made_by });
        Ok(UserCreated {}.into())
    }

    fn add_device(&self, add: AddDevice) -> Outcome<Self> {
        self.with(&add.username, |user| {
            if !user.devices.contains(&add.device) {
                user.devices.push(add.device);
            }
            DeviceAdded {}.into()
        })
    }

    fn add_rule(&self, add: &AddRule) -> Outcome<Self> {
        self.with(&add.username, |user| {
            if !user.rules.contains(&add.rule) {
                user.rules.push(add.rule);
            }
            RuleAdded {}.into()
        })
    }

    fn with<R>(&self, name: &UserName, act: impl FnOnce(&mut User) -> R) -> Result<R, Fault> {
        match self.users.borrow_mut().get_mut(name) {
            Some(entry) => Ok(act(&mut entry.user)),
            None => Err(Fault::not_found("user", name)),
        }
    }
}
