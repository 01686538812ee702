//! User registry (section 4.1.3): users, their devices and their rules, in memory.

use std::cell::RefCell;
use std::collections::HashMap;

use uuid::Uuid;

use super::bus::Recovery;
use super::handler::{Handler, Outcome, TaskContext};
use super::message::{
    AddDevice, AddRule, CreateUser, DeviceAdded, Fault, RuleAdded, User, UserAnswer, UserCreated, UserName, UserTask,
};

/// The user registry. A user is in the instance that owns their partition.
#[derive(Debug, Default)]
pub struct UserRegistry {
    users: RefCell<HashMap<UserName, Entry>>,
}

#[derive(Debug)]
struct Entry {
    user: User,
    /// The task that created the user; processed again, it succeeds again.
    created_by: Uuid,
}

impl Handler for UserRegistry {
    type Tasks = UserTask;
    const RECOVERY: Recovery = Recovery::Replay;

    async fn handle(&self, at: TaskContext, task: UserTask) -> Outcome<Self> {
        self.apply(at, task)
    }

    fn replay(&self, at: TaskContext, task: UserTask) {
        if !matches!(task, UserTask::Get(_)) {
            // The result was sent when it was processed.
            let _ = self.apply(at, task);
        }
    }
}

impl UserRegistry {
    fn apply(&self, at: TaskContext, task: UserTask) -> Outcome<Self> {
        match task {
            UserTask::Create(create) => self.create(at.id, create),
            UserTask::Get(get) => self.with_user(&get.username, |user| user.clone()).map(UserAnswer::from),
            UserTask::AddDevice(add) => self.add_device(add),
            UserTask::AddRule(add) => self.add_rule(&add),
            UserTask::Ping(ping) => Ok(UserAnswer::Pong(ping.pong())),
        }
    }

    fn create(&self, created_by: Uuid, create: CreateUser) -> Outcome<Self> {
        let mut users = self.users.borrow_mut();
        if let Some(entry) = users.get(&create.username) {
            return if entry.created_by == created_by {
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
        users.insert(username, Entry { user, created_by });
        Ok(UserCreated {}.into())
    }

    fn add_device(&self, add: AddDevice) -> Outcome<Self> {
        self.with_user(&add.username, |user| {
            if !user.devices.contains(&add.device) {
                user.devices.push(add.device);
            }
            DeviceAdded {}.into()
        })
    }

    fn add_rule(&self, add: &AddRule) -> Outcome<Self> {
        self.with_user(&add.username, |user| {
            if !user.rules.contains(&add.rule) {
                user.rules.push(add.rule);
            }
            RuleAdded {}.into()
        })
    }

    fn with_user<R>(&self, name: &UserName, act: impl FnOnce(&mut User) -> R) -> Result<R, Fault> {
        match self.users.borrow_mut().get_mut(name) {
            Some(entry) => Ok(act(&mut entry.user)),
            None => Err(Fault::not_found("user", name)),
        }
    }
}
