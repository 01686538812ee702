//! librdkafka clients: common settings, log forwarding, and the publisher.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use super::config::{BusConfig, BusError, DELIVERY_DEADLINE};
use crate::envelope::Envelope;
use crate::sign::SigningKey;

/// Forwards librdkafka's log to `tracing` and keeps the last error reason, which is more specific than the error codes.
#[derive(Clone, Default)]
pub(super) struct Context {
    last_reason: Arc<Mutex<Option<String>>>,
}

impl Context {
    /// The last error reason, or the error itself if there is none.
    pub(super) fn why(&self, error: &KafkaError) -> String {
        let reason = self.last_reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone().unwrap_or_else(|| error.to_string())
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                warn!(target: "librdkafka", facility, "{message}");
            }
            _ => debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(target: "librdkafka", %error, "{reason}");
        // "1/1 brokers are down" is less specific than the refusal before it.
        if !reason.contains("brokers are down") {
            *self.last_reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

/// Client settings for quick reconnection plus `specific`; the user's options override both.
pub(super) fn settings(config: &BusConfig, specific: &[(&str, &str)]) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", "jung")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set("socket.nagle.disable", "true")
        .set("socket.timeout.ms", "10000")
        // A newly created topic may still be unknown to the next broker that is asked.
        .set("topic.metadata.propagation.max.ms", "30000");
    for (key, value) in specific {
        settings.set(*key, *value);
    }
    for (key, value) in &config.options {
        settings.set(key, value);
    }
    settings
}

/// Creating a client fails only because of an option.
pub(super) fn bad_options(error: &KafkaError) -> BusError {
    BusError::Options { why: error.to_string() }
}

/// An idempotent producer of signed messages; clones share it.
#[derive(Clone)]
pub(super) struct Publisher {
    producer: FutureProducer<Context>,
    context: Context,
    key: Option<SigningKey>,
}

impl Publisher {
    pub(super) fn new(config: &BusConfig) -> Result<Self, BusError> {
        let context = Context::default();
        let deadline_ms = DELIVERY_DEADLINE.as_millis().to_string();
        let specific = [
            ("linger.ms", "0"),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("message.timeout.ms", deadline_ms.as_str()),
            ("message.max.bytes", "1048588"),
        ];
        let producer = settings(config, &specific)
            .create_with_context(context.clone())
            .map_err(|error| bad_options(&error))?;
        let key = config.key.clone();
        Ok(Self { producer, context, key })
    }

    /// Queues a message behind all earlier ones; the future waits until the broker has acknowledged it.
    ///
    /// # Errors
    /// [`BusError::Undelivered`] after [`DELIVERY_DEADLINE`]; [`BusError::Envelope`] if it is too large.
    pub(super) fn send<B: Serialize + DeserializeOwned>(
        &self,
        topic: &str,
        message: &Envelope<B>,
        what: String,
    ) -> impl Future<Output = Result<(), BusError>> + Send + use<B> {
        let queued = message.encode(self.key.as_ref()).map(|bytes| {
            let record = FutureRecord::to(topic).key(message.host.as_str()).payload(&bytes);
            self.producer.send_result(record).map_err(|(error, _)| error)
        });
        // The messages of a producer that is dropped are lost.
        let publisher = self.clone();
        async move {
            let undelivered = |error| {
                let why = publisher.context.why(&error);
                BusError::Undelivered { what, why }
            };
            match queued? {
                Err(error) => Err(undelivered(error)),
                Ok(delivery) => match delivery.await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err((error, _))) => Err(undelivered(error)),
                    Err(_) => Err(undelivered(KafkaError::Canceled)),
                },
            }
        }
    }
}
