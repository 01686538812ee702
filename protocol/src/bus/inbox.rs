//! The receiving half: all partitions of some topics from their present end on, committed by hand.

use std::ops::Deref;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::debug;

use super::client::{Context, bad_options, settings};
use super::topics::blocking;
use super::traffic::Traffic;
use super::{BusConfig, BusError, CONNECT_DEADLINE};
use crate::envelope::{Claim, Envelope, EnvelopeError};
use crate::refusals::RefusalLog;

/// Receives messages of some topics.
pub(super) struct Inbox {
    consumer: Closing,
    config: BusConfig,
    /// What was handed out last, to be committed when the next is asked for.
    handled: TopicPartitionList,
    /// What arrived, for the diagnosis of a peer that does not answer.
    traffic: Traffic,
    refusals: RefusalLog<RefusedKind>,
}

/// A consumer that is closed in a thread of its own when it is dropped.
///
/// librdkafka's close waits for outstanding commits, and for those to a broker that is gone it waits for minutes.
struct Closing(Option<StreamConsumer<Context>>);

/// A broker that is there answers the last commit sooner, and so the next consumer of the group begins after it.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

impl Deref for Closing {
    type Target = StreamConsumer<Context>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("it is taken by drop only")
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let consumer = self.0.take();
        let (closed, is_closed) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("kafka-close".into());
        // A thread that cannot be started drops the closure, and the consumer with it.
        let started = thread.spawn(move || {
            drop(consumer);
            drop(closed);
        });
        if started.is_ok() && is_closed.recv_timeout(CLOSE_DEADLINE) == Err(RecvTimeoutError::Timeout) {
            debug!("the broker does not answer the last commit: the consumer is closed in the background");
        }
    }
}

/// Refused messages of one kind are logged once and counted: of one fault, on one topic, naming the same two parties.
type RefusedKind = (std::mem::Discriminant<EnvelopeError>, String, Claim);

/// What was received.
pub(super) enum Received<B> {
    /// A message that passes the filter.
    Message(Envelope<B>),
    /// One that was refused and logged.
    Refused(Claim, EnvelopeError),
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
        let traffic = Traffic::new(topics.clone());
        let consumer = blocking(move || {
            let ends = ends(&consumer, &topics)?;
            consumer
                .assign(&ends)
                .map_err(|error| BusError::Fatal { why: error.to_string() })?;
            Ok(consumer)
        })
        .await?;
        Ok(Self {
            consumer: Closing(Some(consumer)),
            config: config.clone(),
            handled: TopicPartitionList::new(),
            traffic,
            refusals: RefusalLog::default(),
        })
    }

    /// What arrived so far, and goes on to arrive.
    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The next message that passes `mine`, or that cannot be read. The one before it counts as handled and is committed. Cancel-safe.
    pub(super) async fn recv<B: Serialize + DeserializeOwned>(
        &mut self,
        mine: impl Fn(&Envelope<B>) -> bool,
    ) -> Result<Received<B>, BusError> {
        self.commit_handled();
        loop {
            let received = tokio::select! {
                received = self.consumer.recv() => received,
                () = self.refusals.tick() => continue,
            };
            let message = match received {
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
            let bytes = message.payload().unwrap_or_default();
            match Envelope::decode(bytes, self.config.key.as_ref()) {
                Ok(envelope) => {
                    let addressed = mine(&envelope);
                    self.traffic.accepted(&envelope, addressed);
                    if addressed {
                        return Ok(Received::Message(envelope));
                    }
                }
                Err(error) => {
                    let claim = Claim::of(bytes);
                    self.traffic.refused(&claim, &error);
                    let kind = (
                        std::mem::discriminant(&error),
                        message.topic().to_owned(),
                        claim.clone(),
                    );
                    let text = format!("refused a message on topic {}: {error}", message.topic());
                    self.refusals.note(kind, text);
                    return Ok(Received::Refused(claim, error));
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
