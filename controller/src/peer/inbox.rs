//! Sorts the events of one Kafka consumer: replies to requests go to whoever waits for them, all others to the link of their host. So the controller
//! receives from a runner and several loaders over one connection, and a request never holds up the events of an attempt.
//!
//! There is no task in between: a receiver that waits for its own events takes those of the others and forwards them. The consumer is
//! therefore dropped with the last receiver; a task would drop it while the runtime shuts down, in which librdkafka blocks forever.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::bus::{BusError, EventReceiver, Traffic};
use protocol::ids::{MessageId, Name};
use protocol::{Envelope, Event};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::debug;

/// Receives forwarded events.
pub(super) type Events = UnboundedReceiver<Envelope<Event>>;

/// The events of one Kafka consumer.
#[derive(Debug)]
pub(super) struct Inbox {
    receiver: tokio::sync::Mutex<EventReceiver>,
    traffic: Traffic,
    hosts: BTreeMap<Name, UnboundedSender<Envelope<Event>>>,
    requests: Mutex<HashMap<MessageId, UnboundedSender<Envelope<Event>>>>,
}

impl Inbox {
    /// The inbox, and the events of each host in their order. Events of other hosts are dropped.
    pub(super) fn new<'a>(receiver: EventReceiver, hosts: impl IntoIterator<Item = &'a Name>) -> (Self, Vec<Events>) {
        let (mut senders, mut receivers) = (BTreeMap::new(), Vec::new());
        for host in hosts {
            let (sender, events) = unbounded_channel();
            senders.insert(host.clone(), sender);
            receivers.push(events);
        }
        let inbox = Self {
            traffic: receiver.traffic(),
            receiver: tokio::sync::Mutex::new(receiver),
            hosts: senders,
            requests: Mutex::default(),
        };
        (inbox, receivers)
    }

    /// Statistics of the consumer, for all hosts.
    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Whoever waits for the reply to a request. No event is forwarded while this is held, so a request can be sent under it.
    pub(super) fn requests(&self) -> MutexGuard<'_, HashMap<MessageId, UnboundedSender<Envelope<Event>>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event that is forwarded to `own`, whose sender is in this inbox. Cancel-safe.
    ///
    /// # Errors
    /// See [`BusError`].
    pub(super) async fn recv(&self, own: &mut Events) -> Result<Envelope<Event>, BusError> {
        loop {
            tokio::select! {
                biased;
                Some(event) = own.recv() => return Ok(event),
                mut receiver = self.receiver.lock() => {
                    // The previous holder of the consumer may just have forwarded an event.
                    if let Ok(event) = own.try_recv() {
                        return Ok(event);
                    }
                    self.forward(receiver.recv().await?);
                }
            }
        }
    }

    fn forward(&self, event: Envelope<Event>) {
        let requests = self.requests();
        let request = event.in_reply_to.and_then(|id| requests.get(&id));
        match request.or_else(|| self.hosts.get(&event.host)) {
            // The receiver may have been dropped.
            Some(sender) => drop(sender.send(event)),
            None => debug!(host = %event.host, event = event.body.as_str(), "event of an unknown host"),
        }
    }
}
