//! The settings that every client of ours has, and a context that keeps what librdkafka says.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use tracing::{debug, warn};

use super::{BusConfig, BusError};

/// Writes librdkafka's log into ours and remembers its last complaint, which says more than its error codes.
#[derive(Clone, Default)]
pub(super) struct Context {
    complaint: Arc<Mutex<Option<String>>>,
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
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                warn!(target: "librdkafka", facility, "{message}");
            }
            _ => debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(target: "librdkafka", %error, "{reason}");
        // "1/1 brokers are down" says less than the refusal before it.
        if !reason.contains("brokers are down") {
            *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

/// Settings for quick reconnection; the user's options come last and win.
pub(super) fn settings(config: &BusConfig, own: &[(&str, &str)]) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", "jung")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set("socket.nagle.disable", "true")
        .set("socket.timeout.ms", "10000")
        // A topic that was just made may still be unknown to the broker that is asked next.
        .set("topic.metadata.propagation.max.ms", "30000");
    for (key, value) in own {
        settings.set(*key, *value);
    }
    for (key, value) in &config.options {
        settings.set(key, value);
    }
    settings
}

/// A client could not even be made: that is an option's fault.
pub(super) fn bad_options(error: &KafkaError) -> BusError {
    BusError::Options { why: error.to_string() }
}
