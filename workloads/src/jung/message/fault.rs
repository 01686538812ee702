//! What a service answers when it cannot do a task.

use serde::{Deserialize, Serialize};

use super::super::service::Service;

/// The sorts of failure; each has one HTTP status at the API gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The task says something that makes no sense.
    Malformed,
    /// Nobody proved to be this user.
    Unauthenticated,
    /// The user is known and may not.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// There already is such a thing.
    Conflict,
    /// A service did not answer in time.
    Timeout,
    /// The bus takes no more at present.
    Overloaded,
    /// A service answered something else than it was asked for.
    Internal,
}

/// A failure and what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{what}")]
pub struct Fault {
    /// Its sort.
    pub kind: Kind,
    /// A sentence for people, naming the thing.
    pub what: String,
}

impl Fault {
    /// A failure of this sort.
    #[must_use]
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
        }
    }

    /// There is no such user, device, ...
    #[must_use]
    pub fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} {name}"))
    }

    /// There already is such a user, device, ...
    #[must_use]
    pub fn conflict(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(Kind::Conflict, format!("there already is a {what} {name}"))
    }

    /// A service did not answer in time.
    #[must_use]
    pub fn timeout(service: Service) -> Self {
        Self::new(Kind::Timeout, format!("the {service} did not answer in time"))
    }
}
