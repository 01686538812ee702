//! The tasks of a service: a consumer group, and what an instance has to know when it takes over a partition.
//!
//! ```text
//!   offset   0 ............ committed ............ end
//!            |   replayed   |       done live      |
//! ```
//! A service with a [`Memory::Log`] keeps its state in memory only, and the topic is the log of what changed it. Who is given a
//! partition reads it from where he last was (a newcomer: from its start). What lies before the group's committed
//! position has been done and answered by somebody and is delivered as *replay*, for its changes alone; from there
//! on tasks are done and answered. An instance that was killed has committed only what it had finished, so nothing is
//! lost; what it had finished and not committed is done a second time, which is why every task may be done twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Message};

use super::client::{CONNECT_DEADLINE, Settings, bad_options};
use super::counts::{Count, Counts};
use super::ledger::Ledger;
use super::{BusError, topics};
use crate::jung::message::envelope::{self, Head};
use crate::jung::message::{Fault, Tasks};

/// What an instance that takes over a partition has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Nothing: it keeps no state that it could not ask for again.
    None,
    /// What the tasks before changed.
    Log,
}

/// A task out of the inbox.
#[derive(Debug)]
pub struct Delivery<T> {
    /// Identity and sender.
    pub head: Head,
    /// The task, or what is wrong with it.
    pub task: Result<T, Fault>,
    /// Where it lay: topic's partition and offset.
    pub place: (i32, i64),
    /// It was done before; only its changes count.
    pub replay: bool,
    /// When the broker or the sender dated it, ms since 1970.
    pub sent_ms: Option<i64>,
}

/// One partition, as this instance knows it.
#[derive(Debug, Default)]
struct Known {
    ledger: Ledger,
    /// First offset that is not replay.
    live_from: i64,
    owned: bool,
}

/// The partitions, shared with librdkafka's callbacks.
#[derive(Debug)]
struct Partitions {
    memory: Memory,
    known: Mutex<HashMap<i32, Known>>,
}

impl Partitions {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to begin with a partition that was just given to us, the group having committed `committed`.
    fn begin(&self, partition: i32, committed: Option<i64>) -> Offset {
        let mut known = self.lock();
        let known = known.entry(partition).or_default();
        known.owned = true;
        known.live_from = committed.unwrap_or(0);
        let next = known.ledger.next();
        match (self.memory, next) {
            (Memory::Log, 0) => Offset::Beginning,
            (Memory::Log, next) => Offset::Offset(next),
            (Memory::None, next) if next > known.live_from => Offset::Offset(next),
            (Memory::None, _) => committed.map_or(Offset::Beginning, Offset::Offset),
        }
    }
}

/// Answers librdkafka when the group gives and takes partitions.
struct Rebalance(Arc<Partitions>);

impl ClientContext for Rebalance {}

impl ConsumerContext for Rebalance {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, list)
        } else {
            for known in self.0.lock().values_mut() {
                known.owned = false;
            }
            // Nothing stored since the last commit is an error to librdkafka and fine with us.
            let _ = consumer.commit_consumer_state(CommitMode::Sync);
            consumer.unassign()
        };
        if let Err(error) = done {
            eprintln!("workload: kafka: the group's partitions cannot be taken or left: {error}");
        }
    }
}

impl Rebalance {
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        if list.count() == 0 {
            eprintln!(
                "workload: more instances than partitions: this one idles; give the topics more with --partitions"
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
            let begin = self.0.begin(element.partition(), position);
            from.add_partition_offset(element.topic(), element.partition(), begin)?;
        }
        consumer.assign(&from)
    }
}

/// The tasks that are this instance's to do.
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

/// Says whether this instance has a partition at present.
#[derive(Clone, Debug)]
pub struct Ownership(Arc<Partitions>);

impl Ownership {
    /// Whether it has.
    #[must_use]
    pub fn of(&self, partition: i32) -> bool {
        self.0.lock().get(&partition).is_some_and(|known| known.owned)
    }
}

impl Inbox {
    /// Joins the group that does the tasks of the service.
    ///
    /// # Errors
    /// [`BusError`] for a service without tasks, or bad options.
    pub fn join(settings: &Settings, group: &str, memory: Memory, counts: Arc<Counts>) -> Result<Self, BusError> {
        let topic = topics::tasks(&settings.prefix, settings.service).ok_or_else(|| BusError::Options {
            why: format!("the {} is sent no tasks", settings.service),
        })?;
        let partitions = Arc::new(Partitions {
            memory,
            known: Mutex::default(),
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
            why: error.to_string(),
        })?;
        Ok(Self {
            consumer,
            partitions,
            topic,
            counts,
        })
    }

    /// Which partitions this instance has, for work that is not a task.
    #[must_use]
    pub fn ownership(&self) -> Ownership {
        Ownership(Arc::clone(&self.partitions))
    }

    /// The next task. Nothing is lost if the future is dropped.
    pub async fn next<T: Tasks>(&self) -> Delivery<T> {
        loop {
            // Errors are the broker's being away for a while; the client comes back by itself.
            let Ok(message) = self.consumer.recv().await else {
                continue;
            };
            let (partition, offset) = (message.partition(), message.offset());
            let Some(replay) = self.take(partition, offset) else {
                continue;
            };
            match envelope::read_task(message.payload().unwrap_or_default()) {
                Ok((head, task)) => {
                    let sent_ms = message.timestamp().to_millis();
                    return Delivery {
                        head,
                        task,
                        place: (partition, offset),
                        replay,
                        sent_ms,
                    };
                }
                Err(_) => {
                    self.counts.add(Count::Malformed);
                    self.done((partition, offset));
                }
            }
        }
    }

    /// Notes that a task was taken; `None` if it has been before, else whether it is replay.
    fn take(&self, partition: i32, offset: i64) -> Option<bool> {
        let mut known = self.partitions.lock();
        let known = known.entry(partition).or_default();
        if offset < known.ledger.next() {
            return None;
        }
        known.ledger.take(offset);
        Some(offset < known.live_from)
    }

    /// A task is done, and need not be done again by anybody.
    pub fn done(&self, (partition, offset): (i32, i64)) {
        let mut known = self.partitions.lock();
        let Some(known) = known.get_mut(&partition) else { return };
        let position = known.ledger.done(offset);
        if let Some(position) = position.filter(|position| known.owned && *position > known.live_from) {
            // Refused only for a partition that was taken from us meanwhile; then another commits.
            let _ = self.consumer.store_offset(&self.topic, partition, position - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(memory: Memory) -> Partitions {
        Partitions {
            memory,
            known: Mutex::default(),
        }
    }

    #[test]
    fn a_newcomer_with_a_log_reads_it_all() {
        let partitions = partitions(Memory::Log);
        assert_eq!(partitions.begin(0, Some(70)), Offset::Beginning);
        assert_eq!(partitions.lock()[&0].live_from, 70);
    }

    #[test]
    fn who_comes_back_reads_on_from_where_he_was() {
        let partitions = partitions(Memory::Log);
        let _ = partitions.begin(0, None);
        partitions.lock().get_mut(&0).unwrap().ledger.take(41);
        assert_eq!(partitions.begin(0, Some(70)), Offset::Offset(42));
    }

    #[test]
    fn without_memory_the_past_is_left_alone_and_nothing_is_done_twice() {
        let partitions = partitions(Memory::None);
        assert_eq!(partitions.begin(0, Some(70)), Offset::Offset(70));
        assert_eq!(partitions.begin(1, None), Offset::Beginning);
        partitions.lock().get_mut(&0).unwrap().ledger.take(90);
        assert_eq!(partitions.begin(0, Some(80)), Offset::Offset(91));
    }
}
