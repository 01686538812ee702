//! PING: checks that the instance that owns a partition is alive.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

/// Checks that the instance that owns a partition is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// The partition to which it is sent.
    pub partition: i32,
}

/// The result of a [`Ping`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pong {}

impl Ping {
    /// The result.
    #[must_use]
    pub fn pong(&self) -> Pong {
        Pong {}
    }
}

/// A [`Ping`] to the service whose tasks are `T`.
#[derive(Debug)]
pub struct PingOf<T> {
    /// The partition to which it is sent.
    pub partition: i32,
    service: PhantomData<fn() -> T>,
}

impl<T> PingOf<T> {
    /// A ping to the instance that owns this partition.
    #[must_use]
    pub fn partition(partition: i32) -> Self {
        Self {
            partition,
            service: PhantomData,
        }
    }
}
