//! Configuration of the Kafka clients: low latency, small buffers, fast reconnects.

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

/// Timeout for the broker at startup.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// Interval of retries for something that the broker does not have yet.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Settings of the bus.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service of this process.
    pub service: Service,
    /// The instance number, from which its result partition follows.
    pub instance: u16,
    /// Broker addresses, `host:port,...`.
    pub brokers: String,
    /// Prefix of topic and group names, so that several systems can share a broker.
    pub prefix: String,
    /// Partitions of created task topics: the maximum number of instances that share the tasks.
    pub partitions: i32,
    /// Partitions of created result topics.
    pub result_partitions: i32,
    /// Timeout for results.
    pub timeout: Duration,
    /// Additional librdkafka options; they override the defaults.
    pub options: Vec<(String, String)>,
}

impl Settings {
    /// A client configuration: common options, then specific ones, then the user's.
    pub(super) fn client(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", self.service.name())
            // Guests do not support IPv6.
            .set("broker.address.family", "v4")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set("socket.nagle.disable", "true")
            .set("socket.timeout.ms", "10000")
            // A new topic may still be unknown to other brokers.
            .set("topic.metadata.propagation.max.ms", "30000")
            // The topic names are known; no metadata of other topics is needed.
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

    /// The producer configuration: low latency, in order, exactly once.
    ///
    /// A linger time of 0.5 ms lets the tasks of 30 users share requests to the broker. Measured with Apache Kafka on two
    /// cores, compared with `linger.ms=0`: a single request takes 7 ms instead of 3, and 30 users get 2,100 requests per
    /// second instead of 650 to 800, because services and broker need a quarter of the CPU time.
    pub(super) fn producer(&self) -> ClientConfig {
        let message_timeout = self.timeout.as_millis().max(1000).to_string();
        self.client(&[
            ("linger.ms", "0.5"),
            ("enable.idempotence", "true"),
            ("message.timeout.ms", &message_timeout),
            // Report failures only.
            ("delivery.report.only.error", "true"),
            ("queue.buffering.max.kbytes", "8192"),
            ("queue.buffering.max.messages", "20000"),
            ("batch.size", "65536"),
            ("partitioner", "murmur2_random"),
        ])
    }

    /// The consumer configuration: small prefetch buffers, refilled immediately.
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

/// Keeps librdkafka's last error message, which is more specific than its error codes, and counts lost messages.
#[derive(Clone, Default)]
pub(super) struct Context {
    last_error: Arc<Mutex<Option<String>>>,
    pub(super) counts: Arc<Counts>,
}

impl Context {
    /// The last error message, or else the error itself.
    pub(super) fn reason(&self, error: &KafkaError) -> String {
        let last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        last_error.clone().unwrap_or_else(|| error.to_string())
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
        // "1/1 brokers are down" is less specific than the error before it.
        if !reason.contains("brokers are down") {
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
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

/// The error when a client cannot be created, which is caused by an invalid option.
pub(super) fn bad_options(error: &KafkaError) -> BusError {
    BusError::Options {
        reason: error.to_string(),
    }
}

/// Runs a blocking librdkafka call on the blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BusError> + Send + 'static,
) -> Result<T, BusError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(BusError::Options {
            reason: error.to_string(),
        }),
    }
}
