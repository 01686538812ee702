//! The sending half: an idempotent producer that waits for each delivery.

use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use super::client::{Context, bad_options, settings};
use super::{BusConfig, BusError, DELIVERY_DEADLINE};
use crate::ids::Name;

/// Sends bytes to a topic; a clone shares the producer.
#[derive(Clone)]
pub(super) struct Outbox {
    producer: FutureProducer<Context>,
    context: Context,
}

impl Outbox {
    pub(super) fn new(config: &BusConfig) -> Result<Self, BusError> {
        let context = Context::default();
        let deadline_ms = DELIVERY_DEADLINE.as_millis().to_string();
        let own = [
            ("linger.ms", "0"),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("message.timeout.ms", deadline_ms.as_str()),
            ("message.max.bytes", "1048588"),
        ];
        let producer = settings(config, &own)
            .create_with_context(context.clone())
            .map_err(|error| bad_options(&error))?;
        Ok(Self { producer, context })
    }

    /// Hands a message over and waits until the broker has it.
    ///
    /// # Errors
    /// [`BusError::Undelivered`] after [`DELIVERY_DEADLINE`].
    pub(super) async fn send(&self, topic: &str, host: &Name, what: &str, bytes: &[u8]) -> Result<(), BusError> {
        let record = FutureRecord::to(topic).key(host.as_str()).payload(bytes);
        let sent = self.producer.send(record, Timeout::After(DELIVERY_DEADLINE)).await;
        sent.map(|_| ()).map_err(|(error, _)| BusError::Undelivered {
            what: what.to_owned(),
            why: self.context.why(&error),
        })
    }
}
