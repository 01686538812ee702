//! The events of a daemon: logged, and sent in order.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::field::display;
use tracing::{debug, error, info, warn};

use crate::bus::{BusError, EventSender, Reply};
use crate::refusals::RefusalLog;
use crate::{Event, Name};

/// Delay before an event is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// How long [`Outbox::close`] waits for queued events.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends events in order, each one repeatedly until the broker has acknowledged it.
///
/// The queue is unbounded so that the daemon never waits for Kafka. The lease bounds it in practice: without a broker no RENEW arrives, so the
/// attempt ends and produces no more events.
#[derive(Debug)]
pub struct Outbox {
    queue: mpsc::UnboundedSender<(Reply, Event)>,
    sender: EventSender,
    task: JoinHandle<()>,
    /// Refusals of one controller for one reason are logged once and counted.
    refusals: RefusalLog<(Name, String)>,
}

impl Outbox {
    /// Starts the sending task.
    #[must_use]
    pub fn new(sender: EventSender) -> Self {
        let (queue, events) = mpsc::unbounded_channel();
        let task = tokio::spawn(drain(events, sender.clone()));
        let refusals = RefusalLog::default();
        Self {
            queue,
            sender,
            task,
            refusals,
        }
    }

    /// Logs and queues an event.
    pub fn publish(&mut self, to: Reply, event: Event) {
        let attempt = to.attempt.map(display);
        match &event {
            Event::Progress(_) => {}
            Event::Failed(failed) => info!(attempt, stage = failed.stage.as_str(), "FAILED: {}", failed.why),
            Event::Refused(refused) => {
                let text = format!("REFUSED to controller {}: {}", to.controller, refused.why);
                self.refusals.note((to.controller.clone(), refused.why.clone()), text);
            }
            other => info!(attempt, "{}", other.as_str()),
        }
        // The task outlives this sender.
        let _ = self.queue.send((to, event));
    }

    /// Waits until refusals have to be logged, and logs them. Cancel-safe.
    pub async fn tick(&mut self) {
        self.refusals.tick().await;
    }

    /// Another sender of the same queue.
    #[must_use]
    pub fn sender(&self) -> mpsc::UnboundedSender<(Reply, Event)> {
        self.queue.clone()
    }

    /// Sends an event once, bypassing the queue. For PONG, which is useless when delayed.
    pub fn send_now(&self, to: Reply, event: Event) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            if let Err(error) = sender.send(&to, event).await {
                debug!("{error}");
            }
        });
    }

    /// Flushes the queue, for at most 5 s.
    pub async fn close(self) {
        drop(self.queue);
        let abort = self.task.abort_handle();
        if timeout(FLUSH_TIMEOUT, self.task).await.is_err() {
            abort.abort();
            warn!(
                "the last events did not reach the broker within {} s",
                FLUSH_TIMEOUT.as_secs()
            );
        }
    }
}

async fn drain(mut events: mpsc::UnboundedReceiver<(Reply, Event)>, sender: EventSender) {
    while let Some((to, event)) = events.recv().await {
        loop {
            match sender.send(&to, event.clone()).await {
                Ok(()) => break,
                Err(error @ BusError::Envelope(_)) => {
                    error!(attempt = ?to.attempt, "an event cannot be sent: {error}");
                    break;
                }
                Err(error) => warn!("{error}; retrying"),
            }
            sleep(RETRY_DELAY).await;
        }
    }
}
