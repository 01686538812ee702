//! Splits the events of one Kafka consumer by host: the controller receives from a runner and several loaders over one connection.
//!
//! There is no task in between: a receiver that waits for its own events takes those of the others and forwards them. The consumer is
//! therefore dropped with the last receiver; a task would drop it while the runtime shuts down, in which librdkafka blocks forever.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::bus::{BusError, EventReceiver, Traffic};
use protocol::ids::Name;
use protocol::{Envelope, Event};
use tokio::sync::{Mutex, mpsc};
use tracing::debug;

/// The events of one host.
#[derive(Debug)]
pub struct HostEvents {
    events: mpsc::UnboundedReceiver<Envelope<Event>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    receiver: Mutex<EventReceiver>,
    traffic: Traffic,
    senders: BTreeMap<Name, mpsc::UnboundedSender<Envelope<Event>>>,
}

/// A receiver for each host, in their order. Events of other hosts are dropped.
#[must_use]
pub fn events_by_host<'a>(receiver: EventReceiver, hosts: impl IntoIterator<Item = &'a Name>) -> Vec<HostEvents> {
    let (mut senders, mut receivers) = (BTreeMap::new(), Vec::new());
    for host in hosts {
        let (sender, events) = mpsc::unbounded_channel();
        senders.insert(host.clone(), sender);
        receivers.push(events);
    }
    let shared = Arc::new(Shared {
        traffic: receiver.traffic(),
        receiver: Mutex::new(receiver),
        senders,
    });
    let host_events = |events| HostEvents {
        events,
        shared: Arc::clone(&shared),
    };
    receivers.into_iter().map(host_events).collect()
}

impl HostEvents {
    /// Statistics of the consumer, for all hosts.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.shared.traffic
    }

    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// See [`BusError`].
    pub async fn recv(&mut self) -> Result<Envelope<Event>, BusError> {
        loop {
            tokio::select! {
                biased;
                // The sender lives in the shared state, so the channel never closes.
                Some(event) = self.events.recv() => return Ok(event),
                mut receiver = self.shared.receiver.lock() => {
                    // The previous holder of the consumer may just have forwarded an event.
                    if let Ok(event) = self.events.try_recv() {
                        return Ok(event);
                    }
                    self.shared.forward(receiver.recv().await?);
                }
            }
        }
    }
}

impl Shared {
    fn forward(&self, event: Envelope<Event>) {
        match self.senders.get(&event.host) {
            // The receiver may have been dropped.
            Some(sender) => drop(sender.send(event)),
            None => debug!(host = %event.host, event = event.body.as_str(), "event of an unknown host"),
        }
    }
}
