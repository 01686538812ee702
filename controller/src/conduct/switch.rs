//! One stream of events, told apart by host: the controller hears a runner and many loaders over one connection.
//!
//! There is no task in between: whoever waits for its own events receives those of the others meanwhile and puts them where they look. So the connection is
//! dropped with the last line and by nobody else; a task would drop it while the runtime ends, in which librdkafka waits for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::bus::{BusError, EventReceiver, Traffic};
use protocol::ids::Name;
use protocol::{Envelope, Event};
use tokio::sync::{Mutex, mpsc};
use tracing::debug;

/// What comes of one host.
#[derive(Debug)]
pub struct Line {
    events: mpsc::UnboundedReceiver<Envelope<Event>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    receiver: Mutex<EventReceiver>,
    traffic: Traffic,
    ways: BTreeMap<Name, mpsc::UnboundedSender<Envelope<Event>>>,
}

/// A line for each host, in their order. Events of others are not for anybody.
#[must_use]
pub fn lines<'a>(receiver: EventReceiver, hosts: impl IntoIterator<Item = &'a Name>) -> Vec<Line> {
    let (mut ways, mut ends) = (BTreeMap::new(), Vec::new());
    for host in hosts {
        let (give, events) = mpsc::unbounded_channel();
        ways.insert(host.clone(), give);
        ends.push(events);
    }
    let shared = Arc::new(Shared {
        traffic: receiver.traffic(),
        receiver: Mutex::new(receiver),
        ways,
    });
    let line = |events| Line {
        events,
        shared: Arc::clone(&shared),
    };
    ends.into_iter().map(line).collect()
}

impl Line {
    /// What arrived over the connection, for all hosts together.
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
                // Its sender lives in what is shared, so it never ends.
                Some(event) = self.events.recv() => return Ok(event),
                mut receiver = self.shared.receiver.lock() => {
                    // Whoever had the connection before may just have put one here.
                    if let Ok(event) = self.events.try_recv() {
                        return Ok(event);
                    }
                    self.shared.hand_on(receiver.recv().await?);
                }
            }
        }
    }
}

impl Shared {
    fn hand_on(&self, event: Envelope<Event>) {
        match self.ways.get(&event.host) {
            // A line that nobody holds any more loses nothing.
            Some(way) => drop(way.send(event)),
            None => debug!(host = %event.host, event = event.body.as_str(), "of no host of the experiment"),
        }
    }
}
