//! The JSON around a task and around a result, and how bytes from a topic become one.
//!
//! Parsing goes in two steps: a task that makes no sense inside an envelope that does can still be answered, so its
//! sender gets an error at once and not a time-out.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Fault, Kind, Tasks};
use crate::jung::service::Service;

/// The version of the words in this folder.
pub const VERSION: u16 = 1;

/// The largest message that is looked at, bytes.
pub const LARGEST: usize = 256 * 1024;

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is longer than [`LARGEST`].
    #[error("the message has {0} bytes, more than the {LARGEST} that are looked at")]
    TooLarge(usize),
    /// It is not the JSON that was expected.
    #[error("the message is not understood: {0}")]
    NotUnderstood(#[from] serde_json::Error),
    /// Somebody speaks another version.
    #[error("the message has version {0}, this program speaks {VERSION}: run the same program everywhere")]
    Version(u16),
    /// The result belongs to another task.
    #[error("the result is that of task {0}")]
    Stranger(Uuid),
}

/// What all tasks have around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The task's identity, by which its result is found.
    pub id: Uuid,
    /// The request that it all began with, the same in every task that follows from it.
    pub trace: Uuid,
    /// Who sent it.
    pub from: Service,
    /// The partition of the result topic that the sender listens to; `None`: no result is wanted.
    pub reply: Option<i32>,
}

#[derive(Serialize)]
struct TaskOut<'a, T> {
    version: u16,
    head: Head,
    task: &'a T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskIn<'a> {
    version: u16,
    head: Head,
    #[serde(borrow)]
    task: &'a RawValue,
}

/// A result, on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultBody<A> {
    version: u16,
    id: Uuid,
    outcome: Outcome<A>,
}

/// How a task ended, on the wire.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<A> {
    Answer(A),
    Fault(Fault),
}

/// The bytes of a task.
///
/// # Panics
/// Never: no message holds what JSON cannot say, as numbers are checked to be finite where they come in, and others
/// are written as `null`.
#[must_use]
pub fn task_bytes<T: Tasks>(head: Head, task: &T) -> Vec<u8> {
    let out = TaskOut {
        version: VERSION,
        head,
        task,
    };
    serde_json::to_vec(&out).unwrap_or_default()
}

/// The bytes of a result.
#[must_use]
pub fn result_bytes<A: Serialize>(id: Uuid, result: Result<A, Fault>) -> Vec<u8> {
    let outcome = match result {
        Ok(answer) => Outcome::Answer(answer),
        Err(fault) => Outcome::Fault(fault),
    };
    serde_json::to_vec(&ResultBody {
        version: VERSION,
        id,
        outcome,
    })
    .unwrap_or_default()
}

/// Reads a task. The inner error is for the sender: the envelope is right and the task in it is not.
///
/// # Errors
/// [`Refused`] where not even the envelope is understood, so that nobody can be told.
pub fn read_task<T: Tasks>(bytes: &[u8]) -> Result<(Head, Result<T, Fault>), Refused> {
    within_limit(bytes)?;
    let TaskIn { version, head, task } = serde_json::from_slice(bytes)?;
    if version != VERSION {
        return Err(Refused::Version(version));
    }
    let task = serde_json::from_str(task.get()).map_err(|error| {
        Fault::new(
            Kind::Malformed,
            format!("the {} does not know this task: {error}", T::TO),
        )
    });
    Ok((head, task))
}

/// Reads the result of a task.
///
/// # Errors
/// [`Refused`] where it is not understood, or another task's.
pub fn read_result<T: Tasks>(bytes: &[u8], of: Uuid) -> Result<Result<T::Answer, Fault>, Refused> {
    within_limit(bytes)?;
    let ResultBody { version, id, outcome } = serde_json::from_slice(bytes)?;
    if version != VERSION {
        return Err(Refused::Version(version));
    }
    if id != of {
        return Err(Refused::Stranger(id));
    }
    Ok(match outcome {
        Outcome::Answer(answer) => Ok(answer),
        Outcome::Fault(fault) => Err(fault),
    })
}

fn within_limit(bytes: &[u8]) -> Result<(), Refused> {
    if bytes.len() > LARGEST {
        Err(Refused::TooLarge(bytes.len()))
    } else {
        Ok(())
    }
}
