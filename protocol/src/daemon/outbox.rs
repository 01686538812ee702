//! What is said goes out in order, and is said again until the broker has it.
//!
//! The queue has no bound of its own, so that the daemon never waits for Kafka. What bounds it is the lease: without a broker no RENEW
//! comes, the attempt ends, and nothing is left to be said.

use std::time::Duration;

use crate::Event;
use crate::bus::{BusError, EventSender, Reply};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

/// The pause before an event is said again.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the last words may take when the daemon ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The way out.
#[derive(Debug)]
pub struct Outbox {
    queue: mpsc::UnboundedSender<(Reply, Event)>,
    sender: watch::Receiver<EventSender>,
    task: JoinHandle<()>,
}

impl Outbox {
    /// Sends over the connection that holds at the time.
    #[must_use]
    pub fn new(sender: watch::Receiver<EventSender>) -> Self {
        let (queue, events) = mpsc::unbounded_channel();
        let task = tokio::spawn(drain(events, sender.clone()));
        Self { queue, sender, task }
    }

    /// Says an event after all that was said before.
    pub fn say(&self, to: Reply, event: Event) {
        // The task ends after this sender only.
        let _ = self.queue.send((to, event));
    }

    /// Another mouth for the same queue.
    #[must_use]
    pub fn queue(&self) -> mpsc::UnboundedSender<(Reply, Event)> {
        self.queue.clone()
    }

    /// Says an event past the queue, once. For PONG, whose age is its content.
    pub fn say_now(&self, to: Reply, event: Event) {
        let sender = self.sender.borrow().clone();
        tokio::spawn(async move {
            if let Err(error) = sender.send(&to, event).await {
                debug!("{error}");
            }
        });
    }

    /// Waits until all is said, within reason.
    pub async fn close(self) {
        drop(self.queue);
        let abort = self.task.abort_handle();
        if timeout(LAST_WORDS, self.task).await.is_err() {
            abort.abort();
            warn!(
                "the last words did not reach the broker within {} s",
                LAST_WORDS.as_secs()
            );
        }
    }
}

async fn drain(mut events: mpsc::UnboundedReceiver<(Reply, Event)>, sender: watch::Receiver<EventSender>) {
    while let Some((to, event)) = events.recv().await {
        loop {
            let connection = sender.borrow().clone();
            match connection.send(&to, event.clone()).await {
                Ok(()) => break,
                Err(error @ BusError::Envelope(_)) => {
                    error!(attempt = ?to.attempt, "an event cannot be sent: {error}");
                    break;
                }
                Err(error) => warn!("{error}; trying again"),
            }
            sleep(PAUSE).await;
        }
    }
}
