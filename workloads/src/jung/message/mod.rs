//! What the services say to each other: JSON tasks and results, one enum a service and direction.
//!
//! A task travels on `<service>_tasks`, its result on `<service>_results`; both carry the task's UUID.
//! Nothing here knows Kafka: an [`Envelope`](envelope) is bytes, a [`Tasks`] value says where it has to go.

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
pub use fault::{Fault, Kind};
pub use gateway::{Actuate, Actuated, Attach, Attached, GatewayAnswer, GatewayTask};
pub use name::{BadName, DeviceId, Name, Password, UserName};
pub use ping::{Ping, PingOf, Pong};
pub use reading::{Page, ReadReadings, Reading, ReadingAnswer, ReadingTask, WriteReading, Written};
pub use rule::{CreateRule, GetRules, Operator, Rule, RuleAnswer, RuleCreated, RuleTask, Rules};
pub use user::{
    AddDevice, AddRule, CreateUser, DeviceAdded, GetUser, RuleAdded, User, UserAnswer, UserCreated, UserTask,
};

/// Where a task goes within its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// To the instance that owns this key.
    Key(&'a str),
    /// To whichever instance has this partition.
    Partition(i32),
}

/// All tasks of one service.
pub trait Tasks: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The service that does them.
    const TO: Service;
    /// All answers to them.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// Which instance has to do this one.
    fn route(&self) -> Route<'_>;

    /// Its name in spans and counts, e.g. `GET`.
    fn kind(&self) -> &'static str;

    /// The answer, if this is a ping, which every service answers alike.
    fn pong(&self) -> Option<Self::Answer>;
}

/// One task whose answer has one type.
pub trait Call: Send + 'static {
    /// The tasks that it is one of.
    type Tasks: Tasks;
    /// The type of its answer.
    type Reply: Send + 'static;

    /// The task itself.
    fn into_task(self) -> Self::Tasks;

    /// The answer out of all answers of the service; `None` if that is another task's.
    fn reply(answer: <Self::Tasks as Tasks>::Answer) -> Option<Self::Reply>;
}

/// Whether any service would take these bytes as a task or a result: for fuzzing. What is taken has to survive being
/// written and read again.
///
/// # Panics
/// If a task that was understood is not understood again, which is a fault of this module.
#[must_use]
pub fn is_understood(bytes: &[u8]) -> bool {
    fn by<T: Tasks>(bytes: &[u8]) -> bool {
        let result = envelope::read_result::<T>(bytes, uuid::Uuid::nil()).is_ok();
        let Ok((head, Ok(task))) = envelope::read_task::<T>(bytes) else {
            return result;
        };
        let _ = (task.route(), task.kind(), task.pong().is_some());
        let again = envelope::read_task::<T>(&envelope::task_bytes(head, &task));
        assert!(
            matches!(again, Ok((_, Ok(_)))),
            "{} of the {} is written wrongly",
            task.kind(),
            T::TO
        );
        true
    }
    let by_whom = [
        by::<AuthTask>(bytes),
        by::<UserTask>(bytes),
        by::<DeviceTask>(bytes),
        by::<ReadingTask>(bytes),
        by::<CommandTask>(bytes),
        by::<RuleTask>(bytes),
        by::<GatewayTask>(bytes),
    ];
    by_whom.contains(&true)
}

/// Makes the enums of a service out of a table `VARIANT(Task) => Answer, by its route`, adding PING.
macro_rules! tasks {
    (
        $(#[$doc:meta])* $tasks:ident => $answers:ident of $service:expr;
        $( $(#[$say:meta])* $wire:literal $variant:ident($task:ident) => $answer:ident, |$it:ident| $route:expr; )+
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type")]
        pub enum $tasks {
            $( $(#[$say])* #[serde(rename = $wire)] $variant($task), )+
            /// Asks whether the service is there.
            #[serde(rename = "PING")]
            Ping($crate::jung::message::Ping),
        }

        #[doc = concat!("The answers to [`", stringify!($tasks), "`].")]
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type")]
        pub enum $answers {
            $( #[doc = concat!("To ", $wire, ".")] #[serde(rename = $wire)] $variant($answer), )+
            /// The service is there.
            #[serde(rename = "PING")]
            Pong($crate::jung::message::Pong),
        }

        impl $crate::jung::message::Tasks for $tasks {
            const TO: $crate::jung::service::Service = $service;
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
