//! The bus over Kafka: a producer, and a consumer of results.

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
use super::pending::PendingRequests;
use super::topics::{self, Layout};
use super::{Bus, BusError, consumer};
use crate::jung::message::envelope::{self, Head};
use crate::jung::message::{Call, Fault, FaultKind, Route, Tasks};
use crate::jung::service::Service;

/// How often delivery failures are polled from librdkafka.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The bus of a process.
pub struct KafkaBus {
    settings: Settings,
    producer: BaseProducer<Context>,
    pending: PendingRequests,
    counts: Arc<Counts>,
    layout: Layout,
    task_topics: [String; Service::ALL.len()],
    result_topic: Option<String>,
}

/// Receives results. While it is not running, every request times out.
pub struct ResultReceiver {
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

impl std::fmt::Debug for ResultReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResultReceiver")
            .field("bus", &self.bus)
            .finish_non_exhaustive()
    }
}

impl KafkaBus {
    /// Creates missing topics and connects; results sent after it returns are received.
    ///
    /// # Errors
    /// [`BusError`] if no broker responds within 30 s, or if it refuses.
    pub async fn connect(settings: Settings) -> Result<(Arc<Self>, ResultReceiver), BusError> {
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
            pending: PendingRequests::default(),
            counts,
            layout,
            task_topics: Service::ALL.map(|it| topics::tasks(&settings.prefix, it).unwrap_or_default()),
            result_topic: topics::results(&settings.prefix, settings.service),
            settings,
        });
        let receiver = ResultReceiver {
            bus: Arc::clone(&bus),
            consumer,
        };
        Ok((bus, receiver))
    }

    /// The counters.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The partition counts of the topics.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Sends the result of a task to its sender.
    pub fn send_result<A: serde::Serialize>(&self, head: &Head, result: Result<A, Fault>) {
        let (Some(topic), Some(partition)) = (&self.result_topic, head.reply_partition) else {
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

    /// Waits until all messages are delivered, or for `timeout`.
    pub fn flush(&self, timeout: Duration) {
        // Undelivered messages are lost, like anything else in flight at a service that ends.
        let _ = self.producer.flush(timeout);
    }

    fn produce<T: Tasks>(&self, head: Head, task: &T) -> Result<(), Fault> {
        let bytes = envelope::task_bytes(head, task);
        let record = BaseRecord::to(&self.task_topics[T::SERVICE.index()]).payload(&bytes);
        let record = match task.route() {
            Route::Key(key) => record.key(key.as_bytes()),
            Route::Partition(partition) => record.partition(partition),
        };
        match self.producer.send(record) {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                self.counts.add(Count::Overloaded);
                Err(Fault::new(FaultKind::Overloaded, "send queue full: try again later"))
            }
            Err((error, _)) => {
                self.counts.add(Count::Undelivered);
                Err(Fault::new(
                    FaultKind::Internal,
                    format!("failed to send a task to {}: {error}", T::SERVICE),
                ))
            }
        }
    }

    /// Sends a task and waits for its result, still encoded.
    async fn exchange<T: Tasks>(&self, head: Head, task: &T) -> Result<Vec<u8>, Fault> {
        let mut request = self.pending.register(head.id);
        self.produce(head, task)?;
        self.counts.add(Count::Requested);
        if let Ok(Some(bytes)) = tokio::time::timeout(self.settings.timeout, request.result()).await {
            self.counts.add(Count::Answered);
            return Ok(bytes);
        }
        self.counts.add(Count::TimedOut);
        Err(Fault::timeout(T::SERVICE))
    }
}

impl Bus for KafkaBus {
    async fn request<C: Call>(&self, trace: Uuid, call: C) -> Result<C::Reply, Fault> {
        let task = call.into_task();
        let to = <C::Tasks as Tasks>::SERVICE;
        let head = Head {
            id: Uuid::new_v4(),
            trace,
            from: self.settings.service,
            reply_partition: Some(
                self.layout
                    .result_partition(self.settings.service, self.settings.instance),
            ),
        };
        let span = tracing::info_span!("ask", to = to.name(), task = task.kind(), id = %head.id, trace = %trace);
        let bytes = self.exchange(head, &task).instrument(span).await?;
        let answer = envelope::read_result::<C::Tasks>(&bytes, head.id).map_err(|error| {
            self.counts.add(Count::Malformed);
            Fault::new(FaultKind::Internal, format!("invalid result from {to}: {error}"))
        })?;
        C::reply(answer?).ok_or_else(|| {
            Fault::new(
                FaultKind::Internal,
                format!("{to} returned the result of another task type"),
            )
        })
    }

    fn send<C: Call>(&self, trace: Uuid, call: C) -> Result<(), Fault> {
        let head = Head {
            id: Uuid::new_v4(),
            trace,
            from: self.settings.service,
            reply_partition: None,
        };
        self.produce(head, &call.into_task())?;
        self.counts.add(Count::Sent);
        Ok(())
    }
}

impl ResultReceiver {
    /// Delivers results to pending requests; never returns.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(POLL_INTERVAL);
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
        // The client reconnects on its own when the broker is temporarily unavailable.
        let Ok(message) = consumer.recv().await else { return };
        let id = message.key().and_then(|key| Uuid::from_slice(key).ok());
        let delivered = id.is_some_and(|id| self.bus.pending.deliver(id, message.payload().unwrap_or_default()));
        if !delivered {
            self.bus.counts.add(Count::Unexpected);
        }
    }
}
