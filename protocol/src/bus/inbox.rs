//! The receiving half: all partitions of some topics from their present end on, committed by hand.

use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use super::client::{Context, bad_options, settings};
use super::topics::blocking;
use super::{BusConfig, BusError, CONNECT_DEADLINE};
use crate::envelope::Envelope;

/// Receives messages of some topics.
pub(super) struct Inbox {
    consumer: StreamConsumer<Context>,
    config: BusConfig,
    /// What was handed out last, to be committed when the next is asked for.
    handled: TopicPartitionList,
    /// Messages that could not be read.
    rejected: u64,
}

impl Inbox {
    /// Connects, and stands at the end of every partition: what is sent after this returns will be received.
    pub(super) async fn open(config: &BusConfig, group: &str, topics: Vec<String>) -> Result<Self, BusError> {
        let own = [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "latest"),
            ("fetch.error.backoff.ms", "50"),
            ("enable.partition.eof", "false"),
        ];
        let consumer: StreamConsumer<Context> = settings(config, &own)
            .create_with_context(Context::default())
            .map_err(|error| bad_options(&error))?;
        let consumer = blocking(move || {
            let ends = ends(&consumer, &topics)?;
            consumer
                .assign(&ends)
                .map_err(|error| BusError::Fatal { why: error.to_string() })?;
            Ok(consumer)
        })
        .await?;
        Ok(Self {
            consumer,
            config: config.clone(),
            handled: TopicPartitionList::new(),
            rejected: 0,
        })
    }

    /// The next message that can be read and passes `mine`. The one before it counts as handled and is committed. Cancel-safe.
    pub(super) async fn recv<B: Serialize + DeserializeOwned>(
        &mut self,
        mine: impl Fn(&Envelope<B>) -> bool,
    ) -> Result<Envelope<B>, BusError> {
        self.commit_handled();
        loop {
            let message = match self.consumer.recv().await {
                Ok(message) => message,
                Err(error) if is_fatal(&error) => return Err(BusError::Fatal { why: error.to_string() }),
                Err(error) => {
                    // The client reconnects by itself; the deadlines of the conversation decide when that is too late.
                    debug!(%error, "the broker is away");
                    continue;
                }
            };
            let next = Offset::Offset(message.offset() + 1);
            if let Err(error) = self
                .handled
                .add_partition_offset(message.topic(), message.partition(), next)
            {
                debug!(%error, "an offset could not be noted");
            }
            match Envelope::decode(message.payload().unwrap_or_default(), self.config.key.as_ref()) {
                Ok(envelope) if mine(&envelope) => return Ok(envelope),
                Ok(_) => {}
                Err(error) => {
                    self.rejected += 1;
                    warn!(topic = message.topic(), offset = message.offset(), rejected = self.rejected, %error, "skipped a message");
                }
            }
        }
    }

    fn commit_handled(&mut self) {
        if self.handled.count() == 0 {
            return;
        }
        if let Err(error) = self.consumer.commit(&self.handled, CommitMode::Async) {
            debug!(%error, "offsets could not be committed");
        }
        self.handled = TopicPartitionList::new();
    }
}

/// The end of every partition of the topics; waits until a topic that was just made is known.
fn ends(consumer: &StreamConsumer<Context>, topics: &[String]) -> Result<TopicPartitionList, BusError> {
    let deadline = Instant::now() + CONNECT_DEADLINE;
    loop {
        match try_ends(consumer, topics) {
            Ok(ends) => return Ok(ends),
            Err(why) if Instant::now() > deadline => {
                return Err(BusError::Fatal {
                    why: format!("topics {} are not ready: {why}", topics.join(", ")),
                });
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn try_ends(consumer: &StreamConsumer<Context>, topics: &[String]) -> Result<TopicPartitionList, String> {
    let mut ends = TopicPartitionList::new();
    for topic in topics {
        let metadata = consumer
            .fetch_metadata(Some(topic), CONNECT_DEADLINE)
            .map_err(|error| error.to_string())?;
        let partitions = metadata
            .topics()
            .first()
            .map(rdkafka::metadata::MetadataTopic::partitions)
            .unwrap_or_default();
        if partitions.is_empty() {
            return Err(format!("{topic} has no partition yet"));
        }
        for partition in partitions {
            let (_, high) = consumer
                .fetch_watermarks(topic, partition.id(), CONNECT_DEADLINE)
                .map_err(|error| error.to_string())?;
            ends.add_partition_offset(topic, partition.id(), Offset::Offset(high))
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(ends)
}

fn is_fatal(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
}
