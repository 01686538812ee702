//! The bus: ask a service and wait for its result, or tell it and do not.
//!
//! # How a result finds the instance that waits
//! A consumer group would give it to any instance of the asking service, and reading all results in every instance
//! (the thesis' way) makes all parse what one wants. Here every instance listens to **one partition** of the result
//! topics, without a group, from the end they had when it came up, and writes that partition into its tasks;
//! whoever does a task sends the result there, with the task's UUID as key. The partition follows from the service and
//! `--instance` (see [`topics::Layout::mine`]). Two instances with the same partition are right as well: each drops, by the key
//! and unparsed, what it does not wait for. So no rebalance can ever lose a result, and with one result partition it
//! is the thesis' scheme.
//!
//! # How a task finds its instance
//! The key of a task is the user or device that it is about; its partition follows from the key, and the consumer
//! group gives each partition to one instance. See [`inbox`] for what happens when that instance dies.

mod client;
mod consumer;
mod counts;
#[cfg(test)]
pub mod fake;
pub mod inbox;
mod kafka;
mod ledger;
pub mod topics;
mod waiting;

use std::future::Future;

use uuid::Uuid;

use super::message::{Call, Fault};

pub use client::Settings;
pub use counts::{Count, Counts, Snapshot};
pub use inbox::{Delivery, Inbox, Memory};
pub use kafka::{KafkaBus, Waiter};

/// Why the bus cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// An option is not librdkafka's.
    #[error("the Kafka options are refused: {why}; see librdkafka's CONFIGURATION.md for --option")]
    Options {
        /// librdkafka's words.
        why: String,
    },
    /// No broker answers.
    #[error("no Kafka broker answers at {brokers}: {why}; start one, or correct --brokers")]
    Unreachable {
        /// The addresses tried.
        brokers: String,
        /// librdkafka's words.
        why: String,
    },
    /// A topic cannot be made or read.
    #[error("the topic {topic} cannot be had: {why}")]
    Topic {
        /// Its name.
        topic: String,
        /// librdkafka's words.
        why: String,
    },
}

/// What a service can do to others.
pub trait Bus: Send + Sync + 'static {
    /// Sends a task and waits for its result.
    ///
    /// # Errors
    /// The fault that the service answered, or one of the kinds timeout, overloaded and internal.
    fn ask<C: Call>(&self, trace: Uuid, call: C) -> impl Future<Output = Result<C::Reply, Fault>> + Send;

    /// Sends a task whose result nobody waits for.
    ///
    /// # Errors
    /// A fault of the kind overloaded if the bus takes no more.
    fn tell<C: Call>(&self, trace: Uuid, call: C) -> Result<(), Fault>;
}
