//! The error result of a task.

use serde::{Deserialize, Serialize};

use crate::jung::service::Service;

/// Kinds of faults; the API gateway maps each to an HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The task is invalid.
    Malformed,
    /// The credentials are missing or wrong.
    Unauthenticated,
    /// The user is not allowed to do this.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// The resource already exists.
    Conflict,
    /// A service did not respond in time.
    Timeout,
    /// A send queue is full, or services do not respond to the health check.
    Overloaded,
    /// A service returned an unexpected result.
    Internal,
}

/// The error result of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{message}")]
pub struct Fault {
    /// The kind.
    pub kind: FaultKind,
    /// Human-readable message that names the resource.
    #[serde(rename = "what")]
    pub message: String,
}

impl Fault {
    /// A fault of this kind.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A resource (such as `user` or `device`) does not exist.
    #[must_use]
    pub fn not_found(resource: &str, name: impl std::fmt::Display) -> Self {
        Self::new(FaultKind::NotFound, format!("{resource} {name} not found"))
    }

    /// A resource (such as `user` or `device`) already exists.
    #[must_use]
    pub fn conflict(resource: &str, name: impl std::fmt::Display) -> Self {
        Self::new(FaultKind::Conflict, format!("{resource} {name} already exists"))
    }

    /// A service did not respond in time.
    #[must_use]
    pub fn timeout(service: Service) -> Self {
        Self::new(FaultKind::Timeout, format!("{service} did not respond in time"))
    }
}
