//! How the brokers are reached, and what can go wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::envelope::EnvelopeError;
use crate::sign::SigningKey;

/// How to reach the brokers, and the settings of topics that are created.
#[derive(Clone, Debug)]
pub struct BusConfig {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// Topic prefix.
    pub prefix: String,
    /// Partitions of a created topic.
    pub partitions: i32,
    /// Replication factor of a created topic.
    pub replication: i32,
    /// Retention time of a created topic.
    pub retention: Duration,
    /// librdkafka options, passed on unchanged; they override the built-in settings.
    pub options: BTreeMap<String, String>,
    /// The key that messages are signed with; `None`: messages are neither signed nor verified.
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

/// The time after which a broker that does not respond counts as unreachable.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How long delivery of a message is retried: longer than a broker restart takes.
pub const DELIVERY_DEADLINE: Duration = Duration::from_secs(60);

/// Errors of the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No broker responds.
    #[error("no Kafka broker responds ({why}): start one, or correct `brokers`")]
    Unreachable {
        /// The configured brokers.
        brokers: String,
        /// The result of a plain TCP connection to each.
        why: String,
    },
    /// A librdkafka option is unknown or has an invalid value.
    #[error("invalid Kafka options: {why}")]
    Options {
        /// librdkafka's message.
        why: String,
    },
    /// A topic is missing and could not be created.
    #[error("topic {topic} could not be created with {partitions} partitions, replication factor {replication}: {why}")]
    Topic {
        /// The topic.
        topic: String,
        /// Requested partitions.
        partitions: i32,
        /// Requested replication factor.
        replication: i32,
        /// The broker's message.
        why: String,
    },
    /// A message was not delivered within [`DELIVERY_DEADLINE`].
    #[error("{what} was not delivered: {why}")]
    Undelivered {
        /// The message.
        what: String,
        /// The client's error.
        why: String,
    },
    /// A message cannot be encoded.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Unrecoverable client error.
    #[error("the Kafka client failed with a fatal error: {why}")]
    Fatal {
        /// librdkafka's message.
        why: String,
    },
}
