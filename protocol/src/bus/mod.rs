//! The typed ends over Kafka.
//!
//! | topic | who writes | key | what |
//! |---|---|---|---|
//! | `<prefix>controller` | controllers | host | commands; one host's stay in order, so a STOP never overtakes its RUN |
//! | `<prefix>runner` | runners, loaders | host | every event but SAMPLES and CHUNK |
//! | `<prefix>samples` | runners, loaders | host | SAMPLES, CHUNK |
//!
//! Both ends read every partition from the end that the topic has when they connect, without a consumer group's rebalancing (a runner that was
//! killed would otherwise wait out its own ghost's session), and commit by hand what they have handled. What is lost on the way is asked for
//! again by the conversation; what comes twice is told by the attempt.

mod client;
mod controller;
mod diagnose;
mod inbox;
mod outbox;
mod runner;
mod topics;
mod traffic;

use std::collections::BTreeMap;
use std::time::Duration;

pub use controller::{CommandSender, EventReceiver, connect_controller};
pub use runner::{CommandReceiver, EventSender, Reply, connect_runner};
pub use traffic::{Cause, Traffic};

use crate::envelope::EnvelopeError;
use crate::sign::SigningKey;

/// How to reach the broker, and what topics are like that have to be made.
#[derive(Clone, Debug)]
pub struct BusConfig {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// Stands in front of every topic's name.
    pub prefix: String,
    /// Partitions of a topic that has to be made.
    pub partitions: i32,
    /// Replication factor of a topic that has to be made.
    pub replication: i32,
    /// How long a topic that has to be made keeps its messages.
    pub retention: Duration,
    /// Options of librdkafka, handed on as they are; they win over ours.
    pub options: BTreeMap<String, String>,
    /// The key that messages are signed with; `None`: neither signed nor checked.
    pub key: Option<SigningKey>,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            prefix: "jung.".to_owned(),
            partitions: 1,
            replication: 1,
            retention: Duration::from_secs(24 * 3600),
            options: BTreeMap::new(),
            key: None,
        }
    }
}

/// How long a connection may take before the broker counts as unreachable.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How long a message is tried again before it counts as undeliverable: longer than a broker's restart.
pub const DELIVERY_DEADLINE: Duration = Duration::from_secs(60);

/// Why the bus does not carry.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No broker answers.
    #[error("no Kafka broker answers ({why}): start one, or correct `brokers`")]
    Unreachable {
        /// Where.
        brokers: String,
        /// What a plain connection to each meets.
        why: String,
    },
    /// An option of librdkafka is unknown or has a value that it does not take.
    #[error("librdkafka does not take the Kafka options: {why}")]
    Options {
        /// Its words.
        why: String,
    },
    /// A topic is missing and could not be made.
    #[error("topic {topic} could not be made with {partitions} partitions, replication factor {replication}: {why}")]
    Topic {
        /// Which.
        topic: String,
        /// Partitions asked for.
        partitions: i32,
        /// Replication factor asked for.
        replication: i32,
        /// The broker's words.
        why: String,
    },
    /// A message was not delivered within [`DELIVERY_DEADLINE`].
    #[error("{what} was not delivered: {why}")]
    Undelivered {
        /// Which message.
        what: String,
        /// The client's words.
        why: String,
    },
    /// A message cannot be put in an envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The client has given up for good.
    #[error("the Kafka client failed for good: {why}")]
    Fatal {
        /// Its words.
        why: String,
    },
}
