//! The bus: send a task to a service, with or without waiting for its result.
//!
//! # Routing of results
//! A consumer group would deliver a result to any instance of the requesting service; reading all results in every
//! instance, as in the thesis, makes each parse the results of all. Here every instance reads **one partition** of the
//! result topics, without a group, from its end at startup, and names that partition in its tasks. The result is sent
//! there with the task's UUID as key. The partition follows from the service and `--instance` (see
//! [`topics::Layout::result_partition`]). Instances may share a partition: each discards the results of others by key,
//! without parsing them. So no rebalance can lose a result, and with a single result partition this is the thesis'
//! scheme.
//!
//! # Routing of tasks
//! The key of a task is the user or device it concerns. Its partition follows from the key, and the consumer group
//! assigns each partition to one instance. See [`inbox`] for what happens when that instance crashes.

mod client;
mod consumer;
mod counts;
#[cfg(test)]
pub mod fake;
pub mod inbox;
mod kafka;
mod offset_tracker;
mod pending;
pub mod topics;

use std::future::Future;

use uuid::Uuid;

use super::message::{Call, Fault};

pub use client::Settings;
pub use counts::{Count, Counts, Snapshot};
pub use inbox::{Delivery, Inbox, Recovery};
pub use kafka::{KafkaBus, ResultReceiver};

/// Why connecting to the bus failed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// An invalid option.
    #[error("invalid Kafka options: {reason}; see librdkafka's CONFIGURATION.md for --option")]
    Options {
        /// The error message.
        reason: String,
    },
    /// No broker responds.
    #[error("no Kafka broker responds at {brokers}: {reason}; start one or correct --brokers")]
    Unreachable {
        /// The broker addresses.
        brokers: String,
        /// The error message.
        reason: String,
    },
    /// A topic cannot be created or read.
    #[error("cannot create or read topic {topic}: {reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// The error message.
        reason: String,
    },
}

/// Sends tasks to other services.
pub trait Bus: Send + Sync + 'static {
    /// Sends a task and waits for its result.
    ///
    /// # Errors
    /// The fault returned by the service, or a fault of kind timeout, overloaded or internal.
    fn request<C: Call>(&self, trace: Uuid, call: C) -> impl Future<Output = Result<C::Reply, Fault>> + Send;

    /// Sends a task without waiting for a result.
    ///
    /// # Errors
    /// A fault of kind overloaded if the send queue is full.
    fn send<C: Call>(&self, trace: Uuid, call: C) -> Result<(), Fault>;
}
