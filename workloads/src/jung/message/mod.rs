//! The messages between services: JSON tasks and results, one enum per service and direction.
//!
//! A task travels on `<service>_tasks`, its result on `<service>_results`; both carry the task's UUID.
//! This module is independent of Kafka: an [`envelope`] is bytes, and a [`Tasks`] value determines the route.

mod auth;
mod command;
mod device;
pub mod envelope;
mod fault;
mod gateway;
mod name;
mod ping;
mod reading;
mod rule;
mod user;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::service::Service;

pub use auth::{Auth, AuthAnswer, AuthTask, Granted};
pub use command::{Accepted, CommandAnswer, CommandTask, Origin, SendCommand};
pub use device::{AbandonDevice, Abandoned, CreateDevice, Device, DeviceAnswer, DeviceCreated, DeviceTask, GetDevice};
pub use fault::{Fault, FaultKind};
pub use gateway::{Actuate, Actuated, Attach, Attached, GatewayAnswer, GatewayTask};
pub use name::{DeviceId, InvalidName, Name, Password, UserName};
pub use ping::{Ping, PingOf, Pong};
pub use reading::{Page, ReadReadings, Reading, ReadingAnswer, ReadingTask, WriteReading, Written};
pub use rule::{CreateRule, GetRules, Operator, Rule, RuleAnswer, RuleCreated, RuleTask, Rules};
pub use user::{
    AddDevice, AddRule, CreateUser, DeviceAdded, GetUser, RuleAdded, User, UserAnswer, UserCreated, UserTask,
};

/// The route of a task within its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// To the instance that owns this key.
    Key(&'a str),
    /// To the instance that owns this partition.
    Partition(i32),
}

/// The tasks of a service.
pub trait Tasks: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The service that processes them.
    const SERVICE: Service;
    /// Their results.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// The route of this task.
    fn route(&self) -> Route<'_>;

    /// The name of the task type in spans, e.g. `GET`.
    fn kind(&self) -> &'static str;

    /// The result if this is a ping, which every service handles in the same way.
    fn pong(&self) -> Option<Self::Answer>;
}

/// A task type and the type of its result.
pub trait Call: Send + 'static {
    /// The tasks of its service.
    type Tasks: Tasks;
    /// The type of its result.
    type Reply: Send + 'static;

    /// Converts it to the service's task enum.
    fn into_task(self) -> Self::Tasks;

    /// Extracts its result; `None` if the result belongs to another task type.
    fn reply(answer: <Self::Tasks as Tasks>::Answer) -> Option<Self::Reply>;
}

/// Whether the bytes are a valid task or result of any service. For fuzzing: every valid task is encoded and decoded
/// again.
///
/// # Panics
/// If a valid task does not survive encoding and decoding, which is a bug.
#[must_use]
pub fn is_valid_message(bytes: &[u8]) -> bool {
    fn is_valid_for<T: Tasks>(bytes: &[u8]) -> bool {
        let result = envelope::read_result::<T>(bytes, uuid::Uuid::nil()).is_ok();
        let Ok((head, Ok(task))) = envelope::read_task::<T>(bytes) else {
            return result;
        };
        let _ = (task.route(), task.kind(), task.pong().is_some());
        let again = envelope::read_task::<T>(&envelope::task_bytes(head, &task));
        assert!(
            matches!(again, Ok((_, Ok(_)))),
            "task {} of {} does not survive encoding",
            task.kind(),
            T::SERVICE
        );
        true
    }
    let valid = [
        is_valid_for::<AuthTask>(bytes),
        is_valid_for::<UserTask>(bytes),
        is_valid_for::<DeviceTask>(bytes),
        is_valid_for::<ReadingTask>(bytes),
        is_valid_for::<CommandTask>(bytes),
        is_valid_for::<RuleTask>(bytes),
        is_valid_for::<GatewayTask>(bytes),
    ];
    valid.contains(&true)
}

/// Defines the task and result enums of a service from a table `VARIANT(Task) => Answer, route`, and adds PING.
macro_rules! tasks {
    (
        $(#[$doc:meta])* $tasks:ident => $answers:ident of $service:expr;
        $( $(#[$variant_doc:meta])* $wire:literal $variant:ident($task:ident) => $answer:ident, |$it:ident| $route:expr; )+
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type")]
        pub enum $tasks {
            $( $(#[$variant_doc])* #[serde(rename = $wire)] $variant($task), )+
            /// Checks that the service is alive.
            #[serde(rename = "PING")]
            Ping($crate::jung::message::Ping),
        }

        #[doc = concat!("The results of [`", stringify!($tasks), "`].")]
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type")]
        pub enum $answers {
            $( #[doc = concat!("Result of ", $wire, ".")] #[serde(rename = $wire)] $variant($answer), )+
            /// The service is alive.
            #[serde(rename = "PING")]
            Pong($crate::jung::message::Pong),
        }

        impl $crate::jung::message::Tasks for $tasks {
            const SERVICE: $crate::jung::service::Service = $service;
            type Answer = $answers;

            fn route(&self) -> $crate::jung::message::Route<'_> {
                match self {
                    $( Self::$variant($it) => $route, )+
                    Self::Ping(ping) => $crate::jung::message::Route::Partition(ping.partition),
                }
            }

            fn kind(&self) -> &'static str {
                match self {
                    $( Self::$variant(_) => $wire, )+
                    Self::Ping(_) => "PING",
                }
            }

            fn pong(&self) -> Option<$answers> {
                match self {
                    Self::Ping(ping) => Some($answers::Pong(ping.pong())),
                    _ => None,
                }
            }
        }

        $(
            impl $crate::jung::message::Call for $task {
                type Tasks = $tasks;
                type Reply = $answer;

                fn into_task(self) -> $tasks {
                    $tasks::$variant(self)
                }

                fn reply(answer: $answers) -> Option<$answer> {
                    match answer {
                        $answers::$variant(answer) => Some(answer),
                        _ => None,
                    }
                }
            }

            impl From<$answer> for $answers {
                fn from(answer: $answer) -> Self {
                    Self::$variant(answer)
                }
            }
        )+

        impl $crate::jung::message::Call for $crate::jung::message::ping::PingOf<$tasks> {
            type Tasks = $tasks;
            type Reply = $crate::jung::message::Pong;

            fn into_task(self) -> $tasks {
                $tasks::Ping($crate::jung::message::Ping { partition: self.partition })
            }

            fn reply(answer: $answers) -> Option<$crate::jung::message::Pong> {
                match answer {
                    $answers::Pong(pong) => Some(pong),
                    _ => None,
                }
            }
        }
    };
}
use tasks;

#[cfg(test)]
mod tests;
