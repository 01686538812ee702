//! The Kafka connection of a daemon: connects with retries, receives commands, and sends events in order.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::bus::{self, BusConfig, BusError, CommandReceiver, EventSender, Reply};
use crate::{Command, Envelope, Event, Name};

/// Minimum interval between two warnings that no broker responds.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// Delay before an attempt to connect, or to send an event, is repeated.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// How long [`Outbox::close`] waits for queued events.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects, retrying for up to `max_wait` (`None`: without limit) while no broker responds.
///
/// # Errors
/// [`BusError::Unreachable`] and the like after `max_wait`; [`BusError::Options`] immediately.
pub async fn connect(
    config: &BusConfig,
    host: &Name,
    max_wait: Option<Duration>,
) -> Result<(EventSender, CommandReceiver), BusError> {
    let began = Instant::now();
    let mut warned: Option<Instant> = None;
    loop {
        match bus::connect_runner(config, host).await {
            Ok(connection) => return Ok(connection),
            Err(error @ BusError::Options { .. }) => return Err(error),
            Err(error) => {
                let waited = began.elapsed();
                if max_wait.is_some_and(|max_wait| waited >= max_wait) {
                    return Err(error);
                }
                if warned.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) {
                    warn!(waited_s = waited.as_secs(), "waiting: {error}");
                    warned = Some(Instant::now());
                }
            }
        }
        sleep(RETRY_DELAY).await;
    }
}

/// Forwards commands until `commands` is closed. After a fatal client error it reconnects and replaces `sender`.
pub async fn receive_commands(
    config: BusConfig,
    host: Name,
    mut receiver: CommandReceiver,
    sender: watch::Sender<EventSender>,
    commands: mpsc::Sender<Envelope<Command>>,
) {
    loop {
        match receiver.recv().await {
            // A full channel leaves commands in Kafka; a closed one means that the daemon is shutting down.
            Ok(command) => {
                if commands.send(command).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                error!("{error}; reconnecting");
                match connect(&config, &host, None).await {
                    Ok((new_sender, new_receiver)) => {
                        receiver = new_receiver;
                        sender.send_replace(new_sender);
                        info!("reconnected");
                    }
                    Err(error) => {
                        error!("{error}");
                        sleep(WARN_INTERVAL).await;
                    }
                }
            }
        }
    }
}

/// Sends events in order, each one repeatedly until the broker has acknowledged it.
///
/// The queue is unbounded so that the daemon never waits for Kafka. The lease bounds it in practice: without a broker no RENEW arrives, so the
/// attempt ends and produces no more events.
#[derive(Debug)]
pub struct Outbox {
    queue: mpsc::UnboundedSender<(Reply, Event)>,
    sender: watch::Receiver<EventSender>,
    task: JoinHandle<()>,
}

impl Outbox {
    /// Starts the sending task, which always uses the current connection.
    #[must_use]
    pub fn new(sender: watch::Receiver<EventSender>) -> Self {
        let (queue, events) = mpsc::unbounded_channel();
        let task = tokio::spawn(drain(events, sender.clone()));
        Self { queue, sender, task }
    }

    /// Queues an event.
    pub fn send(&self, to: Reply, event: Event) {
        // The task outlives this sender.
        let _ = self.queue.send((to, event));
    }

    /// Another sender of the same queue.
    #[must_use]
    pub fn sender(&self) -> mpsc::UnboundedSender<(Reply, Event)> {
        self.queue.clone()
    }

    /// Sends an event once, bypassing the queue. For PONG, which is useless when delayed.
    pub fn send_now(&self, to: Reply, event: Event) {
        let sender = self.sender.borrow().clone();
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
                Err(error) => warn!("{error}; retrying"),
            }
            sleep(RETRY_DELAY).await;
        }
    }
}
