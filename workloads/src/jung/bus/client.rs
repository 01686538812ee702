//! The settings of every Kafka client here: quick, small, and quick to come back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::BusError;
use super::counts::{Count, Counts};
use crate::jung::service::Service;

/// How long a broker may take to answer at start-up.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// How soon something that a broker has not got yet is asked for again.
pub(super) const RETRY: Duration = Duration::from_millis(50);

/// What a process needs to know to be on the bus.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who it is.
    pub service: Service,
    /// Which instance of it: the one of this number listens to results on its own partition.
    pub instance: u16,
    /// Addresses of brokers, `host:port,...`.
    pub brokers: String,
    /// In front of the names of topics and groups, so that several systems can share a broker.
    pub prefix: String,
    /// Partitions of a task topic that is made: how many instances can share its tasks.
    pub partitions: i32,
    /// Partitions of a result topic that is made.
    pub result_partitions: i32,
    /// How long to wait for a result.
    pub timeout: Duration,
    /// Further options of librdkafka; they win over ours.
    pub options: Vec<(String, String)>,
}

impl Settings {
    /// A client's configuration: what all have in common, then its own, then the user's.
    pub(super) fn client(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", self.service.name())
            // Guests know no IPv6.
            .set("broker.address.family", "v4")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set("socket.nagle.disable", "true")
            .set("socket.timeout.ms", "10000")
            // A topic that was just made may still be unknown to the broker that is asked next.
            .set("topic.metadata.propagation.max.ms", "30000")
            // The names of topics are known: no use in those of others.
            .set("topic.metadata.refresh.sparse", "true")
            .set("log_level", "3");
        for (key, value) in own {
            config.set(*key, *value);
        }
        for (key, value) in &self.options {
            config.set(key, value);
        }
        config
    }

    /// The producer's configuration: every message leaves at once or nearly so, in order, once.
    ///
    /// Half a millisecond of patience lets the tasks of 30 users share requests to the broker. Measured with Apache
    /// Kafka on two cores against `linger.ms=0`: a request alone takes 7 ms instead of 3, and 30 users get 2,100 requests
    /// a second instead of 650 to 800, as services and broker need a quarter of the CPU time.
    pub(super) fn producer(&self) -> ClientConfig {
        let patience = self.timeout.as_millis().max(1000).to_string();
        self.client(&[
            ("linger.ms", "0.5"),
            ("enable.idempotence", "true"),
            ("message.timeout.ms", &patience),
            // Only failures are worth an event.
            ("delivery.report.only.error", "true"),
            ("queue.buffering.max.kbytes", "8192"),
            ("queue.buffering.max.messages", "20000"),
            ("batch.size", "65536"),
            ("partitioner", "murmur2_random"),
        ])
    }

    /// A consumer's configuration: a small store, refilled at once.
    pub(super) fn consumer(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut all = vec![
            ("enable.partition.eof", "false"),
            ("fetch.queue.backoff.ms", "2"),
            ("fetch.error.backoff.ms", "50"),
            ("fetch.message.max.bytes", "262144"),
            ("fetch.max.bytes", "1048576"),
            ("queued.min.messages", "2000"),
            ("queued.max.messages.kbytes", "1024"),
        ];
        all.extend_from_slice(own);
        self.client(&all)
    }
}

/// Remembers librdkafka's last complaint, which says more than its error codes, and counts lost messages.
#[derive(Clone, Default)]
pub(super) struct Context {
    complaint: Arc<Mutex<Option<String>>>,
    pub(super) counts: Arc<Counts>,
}

impl Context {
    /// The last complaint, or else the error itself.
    pub(super) fn why(&self, error: &KafkaError) -> String {
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        complaint.clone().unwrap_or_else(|| error.to_string())
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if matches!(
            level,
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical
        ) {
            eprintln!("workload: kafka: {facility}: {message}");
        }
    }

    fn error(&self, _error: KafkaError, reason: &str) {
        // "1/1 brokers are down" says less than the refusal before it.
        if !reason.contains("brokers are down") {
            *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if result.is_err() {
            self.counts.add(Count::Undelivered);
        }
    }
}

/// A client could not even be made: that is an option's fault.
pub(super) fn bad_options(error: &KafkaError) -> BusError {
    BusError::Options { why: error.to_string() }
}

/// Runs a blocking call of librdkafka beside the runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BusError> + Send + 'static,
) -> Result<T, BusError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(BusError::Options { why: error.to_string() }),
    }
}
