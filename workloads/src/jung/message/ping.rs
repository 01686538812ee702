//! PING: is the service that has this partition there?

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

/// Asks the instance that has a partition for a sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// The partition it was sent to.
    pub partition: i32,
}

/// The sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pong {}

impl Ping {
    /// The answer.
    #[must_use]
    pub fn pong(&self) -> Pong {
        Pong {}
    }
}

/// A [`Ping`] to the service whose tasks are `T`.
#[derive(Debug)]
pub struct PingOf<T> {
    /// The partition to send it to.
    pub partition: i32,
    service: PhantomData<fn() -> T>,
}

impl<T> PingOf<T> {
    /// To whoever has this partition.
    #[must_use]
    pub fn partition(partition: i32) -> Self {
        Self {
            partition,
            service: PhantomData,
        }
    }
}
