//! The bus over Kafka: one producer, and one consumer for results.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::consumer::StreamConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tracing::Instrument;
use uuid::Uuid;

use super::client::{Context, Settings, bad_options};
use super::counts::{Count, Counts};
use super::topics::{self, Layout};
use super::waiting::Waiting;
use super::{Bus, BusError, consumer};
use crate::jung::message::envelope::{self, Head};
use crate::jung::message::{Call, Fault, Kind, Route, Tasks};
use crate::jung::service::Service;

/// How often librdkafka is asked for failures to deliver.
const POLL: Duration = Duration::from_millis(100);

/// The bus, shared by everything in a process that sends.
pub struct KafkaBus {
    settings: Settings,
    producer: BaseProducer<Context>,
    waiting: Waiting,
    counts: Arc<Counts>,
    layout: Layout,
    task_topics: [String; Service::ALL.len()],
    result_topic: Option<String>,
}

/// The half that receives results; without it running, every task times out.
pub struct Waiter {
    bus: Arc<KafkaBus>,
    consumer: Option<Arc<StreamConsumer<Context>>>,
}

impl std::fmt::Debug for KafkaBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaBus")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter").field("bus", &self.bus).finish_non_exhaustive()
    }
}

impl KafkaBus {
    /// Makes missing topics, and listens to results when it returns.
    ///
    /// # Errors
    /// [`BusError`] if no broker answers within 30 s, or it refuses.
    pub async fn connect(settings: Settings) -> Result<(Arc<Self>, Waiter), BusError> {
        let layout = topics::ensure(&settings).await?;
        let context = Context::default();
        let counts = Arc::clone(&context.counts);
        let producer = settings
            .producer()
            .create_with_context(context.clone())
            .map_err(|error| bad_options(&error))?;
        let consumer = consumer::of_results(&settings, &layout, context).await?;
        let bus = Arc::new(Self {
            producer,
            waiting: Waiting::default(),
            counts,
            layout,
            task_topics: Service::ALL.map(|it| topics::tasks(&settings.prefix, it).unwrap_or_default()),
            result_topic: topics::results(&settings.prefix, settings.service),
            settings,
        });
        let waiter = Waiter {
            bus: Arc::clone(&bus),
            consumer,
        };
        Ok((bus, waiter))
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// What it was connected with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the topics are like.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Sends the result of a task to whoever waits for it.
    pub fn answer<A: serde::Serialize>(&self, head: &Head, result: Result<A, Fault>) {
        let (Some(topic), Some(partition)) = (&self.result_topic, head.reply) else {
            return;
        };
        let bytes = envelope::result_bytes(head.id, result);
        let record = BaseRecord::to(topic)
            .partition(partition)
            .key(head.id.as_bytes())
            .payload(&bytes);
        if self.producer.send(record).is_err() {
            self.counts.add(Count::Overloaded);
        }
    }

    /// Waits until everything sent has arrived, or a deadline.
    pub fn flush(&self, deadline: Duration) {
        // What is not delivered then is lost like anything else that a dying service had under way.
        let _ = self.producer.flush(deadline);
    }

    fn send<T: Tasks>(&self, head: Head, task: &T) -> Result<(), Fault> {
        let bytes = envelope::task_bytes(head, task);
        let record = BaseRecord::to(&self.task_topics[T::TO.index()]).payload(&bytes);
        let record = match task.route() {
            Route::Key(key) => record.key(key.as_bytes()),
            Route::Partition(partition) => record.partition(partition),
        };
        match self.producer.send(record) {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                self.counts.add(Count::Overloaded);
                Err(Fault::new(
                    Kind::Overloaded,
                    "too many tasks wait to be sent: try again later",
                ))
            }
            Err((error, _)) => {
                self.counts.add(Count::Undelivered);
                Err(Fault::new(
                    Kind::Internal,
                    format!("a task for the {} cannot be sent: {error}", T::TO),
                ))
            }
        }
    }

    /// Sends a task and waits for the bytes of its result.
    async fn exchange<T: Tasks>(&self, head: Head, task: &T) -> Result<Vec<u8>, Fault> {
        let mut place = self.waiting.wait_for(head.id);
        self.send(head, task)?;
        self.counts.add(Count::Asked);
        if let Ok(Some(bytes)) = tokio::time::timeout(self.settings.timeout, place.result()).await {
            self.counts.add(Count::Answered);
            return Ok(bytes);
        }
        self.counts.add(Count::TimedOut);
        Err(Fault::timeout(T::TO))
    }
}

impl Bus for KafkaBus {
    async fn ask<C: Call>(&self, trace: Uuid, call: C) -> Result<C::Reply, Fault> {
        let task = call.into_task();
        let to = <C::Tasks as Tasks>::TO;
        let head = Head {
            id: Uuid::new_v4(),
            trace,
            from: self.settings.service,
            reply: Some(self.layout.mine(self.settings.service, self.settings.instance)),
        };
        let span = tracing::info_span!("ask", to = to.name(), task = task.kind(), id = %head.id, trace = %trace);
        let bytes = self.exchange(head, &task).instrument(span).await?;
        let answer = envelope::read_result::<C::Tasks>(&bytes, head.id).map_err(|error| {
            self.counts.add(Count::Malformed);
            Fault::new(Kind::Internal, format!("the answer of the {to} is refused: {error}"))
        })?;
        C::reply(answer?).ok_or_else(|| Fault::new(Kind::Internal, format!("the {to} answered another question")))
    }

    fn tell<C: Call>(&self, trace: Uuid, call: C) -> Result<(), Fault> {
        let head = Head {
            id: Uuid::new_v4(),
            trace,
            from: self.settings.service,
            reply: None,
        };
        self.send(head, &call.into_task())?;
        self.counts.add(Count::Told);
        Ok(())
    }
}

impl Waiter {
    /// Hands results to those who wait; never ends.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(POLL);
        loop {
            tokio::select! {
                () = self.next() => {}
                _ = tick.tick() => { self.bus.producer.poll(Duration::ZERO); }
            }
        }
    }

    async fn next(&self) {
        let Some(consumer) = &self.consumer else {
            return std::future::pending().await;
        };
        // Errors are the broker's being away for a while; the client comes back by itself.
        let Ok(message) = consumer.recv().await else { return };
        let id = message.key().and_then(|key| Uuid::from_slice(key).ok());
        let delivered = id.is_some_and(|id| self.bus.waiting.deliver(id, message.payload().unwrap_or_default()));
        if !delivered {
            self.bus.counts.add(Count::Stray);
        }
    }
}
