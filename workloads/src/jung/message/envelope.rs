//! The JSON envelopes of tasks and results, and their parsing.
//!
//! Parsing has two steps: an invalid task in a valid envelope still gets a result, so its sender receives an error
//! immediately instead of a timeout.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Fault, FaultKind, Tasks};
use crate::jung::service::Service;

/// Version of the messages.
pub const VERSION: u16 = 1;

/// Maximum size of a message in bytes.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// Why a message is invalid.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// It is larger than [`MAX_MESSAGE`].
    #[error("message of {0} bytes exceeds the limit of {MAX_MESSAGE} bytes")]
    TooLarge(usize),
    /// It is not valid JSON or does not match the schema.
    #[error("malformed message: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It has another version.
    #[error("unsupported message version {0}: expected {VERSION}; run the same version of all services")]
    Version(u16),
    /// The result belongs to another task.
    #[error("result belongs to task {0}")]
    WrongTask(Uuid),
}

/// The header of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The task id, which its result repeats.
    pub id: Uuid,
    /// Id of the originating request, shared by all tasks that follow from it.
    pub trace: Uuid,
    /// The sender.
    pub from: Service,
    /// The partition of the result topic that the sender reads; `None` if no result is expected.
    #[serde(rename = "reply")]
    pub reply_partition: Option<i32>,
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

/// The envelope of a result.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultBody<A> {
    version: u16,
    id: Uuid,
    outcome: Outcome<A>,
}

/// The outcome of a task on the wire.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<A> {
    Answer(A),
    Fault(Fault),
}

/// Encodes a task.
///
/// # Panics
/// Never: received numbers are finite, and JSON encodes others as `null`.
#[must_use]
pub fn task_bytes<T: Tasks>(head: Head, task: &T) -> Vec<u8> {
    let out = TaskOut {
        version: VERSION,
        head,
        task,
    };
    serde_json::to_vec(&out).unwrap_or_default()
}

/// Encodes a result.
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

/// Decodes a task. The inner error is for the sender: a valid envelope with an invalid task.
///
/// # Errors
/// [`EnvelopeError`] if the envelope is invalid, so that no result can be sent.
pub fn read_task<T: Tasks>(bytes: &[u8]) -> Result<(Head, Result<T, Fault>), EnvelopeError> {
    check_size(bytes)?;
    let TaskIn { version, head, task } = serde_json::from_slice(bytes)?;
    if version != VERSION {
        return Err(EnvelopeError::Version(version));
    }
    let task = serde_json::from_str(task.get()).map_err(|error| {
        Fault::new(
            FaultKind::Malformed,
            format!("invalid task for {}: {error}", T::SERVICE),
        )
    });
    Ok((head, task))
}

/// Decodes the result of a task.
///
/// # Errors
/// [`EnvelopeError`] if it is invalid or belongs to another task.
pub fn read_result<T: Tasks>(bytes: &[u8], of: Uuid) -> Result<Result<T::Answer, Fault>, EnvelopeError> {
    check_size(bytes)?;
    let ResultBody { version, id, outcome } = serde_json::from_slice(bytes)?;
    if version != VERSION {
        return Err(EnvelopeError::Version(version));
    }
    if id != of {
        return Err(EnvelopeError::WrongTask(id));
    }
    Ok(match outcome {
        Outcome::Answer(answer) => Ok(answer),
        Outcome::Fault(fault) => Err(fault),
    })
}

fn check_size(bytes: &[u8]) -> Result<(), EnvelopeError> {
    if bytes.len() > MAX_MESSAGE {
        Err(EnvelopeError::TooLarge(bytes.len()))
    } else {
        Ok(())
    }
}
