//! Receives the tasks of a service through a consumer group, and recovers the state of partitions that are taken over.
//!
//! ```text
//!   offset   0 ............ committed ............ end
//!            |   replayed   |       processed      |
//! ```
//! A service with [`Recovery::Replay`] keeps its state only in memory; the topic is the log of its changes. An instance
//! that is assigned a partition reads it from its last position, or from the start if it is new. Tasks before the
//! group's committed offset were already processed and their results sent; they are delivered as *replay*, only for
//! their state changes. Later tasks are processed normally. A killed instance has committed only finished tasks, so none
//! is lost; tasks that were finished but not committed are processed again, which is why tasks must be idempotent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Message};

use super::client::{CONNECT_DEADLINE, Settings, bad_options};
use super::counts::{Count, Counts};
use super::offset_tracker::OffsetTracker;
use super::{BusError, topics};
use crate::jung::message::envelope::{self, Head};
use crate::jung::message::{Fault, Tasks};

/// How an instance recovers the state of a partition that it takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Not at all: the service has no state that it cannot query again.
    Stateless,
    /// By replaying the earlier tasks.
    Replay,
}

/// A received task.
#[derive(Debug)]
pub struct Delivery<T> {
    /// Id and sender.
    pub head: Head,
    /// The task, or why it is invalid.
    pub task: Result<T, Fault>,
    /// Partition and offset.
    pub position: (i32, i64),
    /// Whether it was already processed; only its state changes are applied.
    pub replay: bool,
    /// Timestamp of the message in ms since the Unix epoch.
    pub sent_ms: Option<i64>,
}

/// This instance's view of a partition.
#[derive(Debug, Default)]
struct PartitionState {
    offsets: OffsetTracker,
    /// First offset that is not replayed.
    live_from: i64,
    owned: bool,
}

/// The partitions, shared with librdkafka's callbacks.
#[derive(Debug)]
struct Partitions {
    recovery: Recovery,
    states: Mutex<HashMap<i32, PartitionState>>,
}

impl Partitions {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, PartitionState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset at which to start reading a newly assigned partition; `committed` is the group's offset.
    fn start_offset(&self, partition: i32, committed: Option<i64>) -> Offset {
        let mut states = self.lock();
        let state = states.entry(partition).or_default();
        state.owned = true;
        state.live_from = committed.unwrap_or(0);
        let next = state.offsets.next();
        match (self.recovery, next) {
            (Recovery::Replay, 0) => Offset::Beginning,
            (Recovery::Replay, next) => Offset::Offset(next),
            (Recovery::Stateless, next) if next > state.live_from => Offset::Offset(next),
            (Recovery::Stateless, _) => committed.map_or(Offset::Beginning, Offset::Offset),
        }
    }
}

/// Handles the group's rebalances.
struct Rebalance(Arc<Partitions>);

impl ClientContext for Rebalance {}

impl ConsumerContext for Rebalance {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let result = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, list)
        } else {
            for state in self.0.lock().values_mut() {
                state.owned = false;
            }
            // Fails if nothing was stored since the last commit, which is harmless.
            let _ = consumer.commit_consumer_state(CommitMode::Sync);
            consumer.unassign()
        };
        if let Err(error) = result {
            eprintln!("workload: kafka: rebalance failed: {error}");
        }
    }
}

impl Rebalance {
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        if list.count() == 0 {
            eprintln!(
                "workload: no partition assigned, this instance is idle: create the topics with more --partitions"
            );
            return consumer.assign(list);
        }
        let committed = consumer.committed_offsets(list.clone(), CONNECT_DEADLINE)?;
        let mut from = TopicPartitionList::new();
        for element in committed.elements() {
            let position = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            let start = self.0.start_offset(element.partition(), position);
            from.add_partition_offset(element.topic(), element.partition(), start)?;
        }
        consumer.assign(&from)
    }
}

/// Receives the tasks for this instance.
pub struct Inbox {
    consumer: StreamConsumer<Rebalance>,
    partitions: Arc<Partitions>,
    topic: String,
    counts: Arc<Counts>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// Which partitions this instance currently owns.
#[derive(Clone, Debug)]
pub struct Ownership(Arc<Partitions>);

impl Ownership {
    /// Whether this instance owns a partition.
    #[must_use]
    pub fn of(&self, partition: i32) -> bool {
        self.0.lock().get(&partition).is_some_and(|state| state.owned)
    }
}

impl Inbox {
    /// Joins the consumer group that processes the tasks of the service.
    ///
    /// # Errors
    /// [`BusError`] for a service without tasks, or for invalid options.
    pub fn join(settings: &Settings, group: &str, recovery: Recovery, counts: Arc<Counts>) -> Result<Self, BusError> {
        let topic = topics::tasks(&settings.prefix, settings.service).ok_or_else(|| BusError::Options {
            reason: format!("service {} receives no tasks", settings.service),
        })?;
        let partitions = Arc::new(Partitions {
            recovery,
            states: Mutex::default(),
        });
        let group = format!("{}{group}", settings.prefix);
        let config = settings.consumer(&[
            ("group.id", &group),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1000"),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.offset.store", "false"),
            ("auto.commit.interval.ms", "500"),
        ]);
        let consumer: StreamConsumer<Rebalance> = config
            .create_with_context(Rebalance(Arc::clone(&partitions)))
            .map_err(|error| bad_options(&error))?;
        consumer.subscribe(&[&topic]).map_err(|error| BusError::Topic {
            topic: topic.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            consumer,
            partitions,
            topic,
            counts,
        })
    }

    /// The partitions that this instance owns, for background work.
    #[must_use]
    pub fn ownership(&self) -> Ownership {
        Ownership(Arc::clone(&self.partitions))
    }

    /// Receives the next task. Cancel safe.
    pub async fn next<T: Tasks>(&self) -> Delivery<T> {
        loop {
            // The client reconnects on its own when the broker is temporarily unavailable.
            let Ok(message) = self.consumer.recv().await else {
                continue;
            };
            let (partition, offset) = (message.partition(), message.offset());
            let Some(replay) = self.mark_received(partition, offset) else {
                continue;
            };
            match envelope::read_task(message.payload().unwrap_or_default()) {
                Ok((head, task)) => {
                    let sent_ms = message.timestamp().to_millis();
                    return Delivery {
                        head,
                        task,
                        position: (partition, offset),
                        replay,
                        sent_ms,
                    };
                }
                Err(_) => {
                    self.counts.add(Count::Malformed);
                    self.mark_done((partition, offset));
                }
            }
        }
    }

    /// Marks a task as received; returns whether it is a replay, or `None` if it was already received.
    fn mark_received(&self, partition: i32, offset: i64) -> Option<bool> {
        let mut states = self.partitions.lock();
        let state = states.entry(partition).or_default();
        if offset < state.offsets.next() {
            return None;
        }
        state.offsets.start(offset);
        Some(offset < state.live_from)
    }

    /// Marks a task as done, so that its offset can be committed.
    pub fn mark_done(&self, (partition, offset): (i32, i64)) {
        let mut states = self.partitions.lock();
        let Some(state) = states.get_mut(&partition) else {
            return;
        };
        let position = state.offsets.finish(offset);
        if let Some(position) = position.filter(|position| state.owned && *position > state.live_from) {
            // Fails only if the partition was revoked meanwhile; its new owner commits.
            let _ = self.consumer.store_offset(&self.topic, partition, position - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(recovery: Recovery) -> Partitions {
        Partitions {
            recovery,
            states: Mutex::default(),
        }
    }

    #[test]
    fn new_instance_replays_the_whole_log() {
        let partitions = partitions(Recovery::Replay);
        assert_eq!(partitions.start_offset(0, Some(70)), Offset::Beginning);
        assert_eq!(partitions.lock()[&0].live_from, 70);
    }

    #[test]
    fn returning_instance_continues_from_its_position() {
        let partitions = partitions(Recovery::Replay);
        let _ = partitions.start_offset(0, None);
        partitions.lock().get_mut(&0).unwrap().offsets.start(41);
        assert_eq!(partitions.start_offset(0, Some(70)), Offset::Offset(42));
    }

    #[test]
    fn stateless_instance_skips_committed_tasks_and_repeats_none() {
        let partitions = partitions(Recovery::Stateless);
        assert_eq!(partitions.start_offset(0, Some(70)), Offset::Offset(70));
        assert_eq!(partitions.start_offset(1, None), Offset::Beginning);
        partitions.lock().get_mut(&0).unwrap().offsets.start(90);
        assert_eq!(partitions.start_offset(0, Some(80)), Offset::Offset(91));
    }
}
