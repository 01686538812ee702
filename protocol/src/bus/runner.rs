//! The side of runners and loaders: receives commands, sends events.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use super::client::Publisher;
use super::config::{BusConfig, BusError};
use super::subscriber::{Received, Subscriber};
use super::topics;
use crate::command::Command;
use crate::envelope::{Claim, Envelope, EnvelopeError};
use crate::event::{Event, Refused, RefusedReason};
use crate::ids::{AttemptId, Epoch, MessageId, Name};

/// Sends events; clones share the connection, which [`CommandReceiver`] replaces after a fatal error.
#[derive(Clone)]
pub struct EventSender {
    publisher: watch::Receiver<Publisher>,
    events: String,
    samples: String,
}

/// Receives the commands for one host.
pub struct CommandReceiver {
    subscriber: Subscriber,
    config: BusConfig,
    host: Name,
    publisher: watch::Sender<Publisher>,
    /// The new connection after a fatal error.
    reconnecting: Option<JoinHandle<Result<(Publisher, Subscriber), BusError>>>,
    /// Notifies controllers whose commands are refused.
    notices: EventSender,
    last_notice: Option<Instant>,
}

/// Minimum interval between two warnings that no broker responds.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// Delay before an attempt to connect is repeated.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Minimum interval between two notices of refused commands: shorter than the controller's retry interval.
const NOTICE_INTERVAL: Duration = Duration::from_millis(500);

/// The addressee and the context of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The sender's host.
    pub host: Name,
    /// The addressed controller.
    pub controller: Name,
    /// That controller's epoch.
    pub epoch: Epoch,
    /// The attempt that the event is about.
    pub attempt: Option<AttemptId>,
    /// The command that it replies to.
    pub in_reply_to: Option<MessageId>,
}

impl Reply {
    /// Addresses a reply to a command.
    #[must_use]
    pub fn to(command: &Envelope<Command>) -> Self {
        Self {
            host: command.host.clone(),
            controller: command.controller.clone(),
            epoch: command.epoch,
            attempt: command.attempt,
            in_reply_to: Some(command.id),
        }
    }
}

/// Creates missing topics and connects a host's daemon, retrying for up to `max_wait` (`None`: without limit) while no broker responds. Commands that
/// are sent after this returns are received.
///
/// # Errors
/// [`BusError::Unreachable`], [`BusError::Topic`] and the like after `max_wait`; [`BusError::Options`] immediately.
pub async fn connect_runner(
    config: &BusConfig,
    host: &Name,
    max_wait: Option<Duration>,
) -> Result<(EventSender, CommandReceiver), BusError> {
    let (publisher, subscriber) = open(config, host, max_wait).await?;
    let (publisher, current) = watch::channel(publisher);
    let sender = EventSender {
        publisher: current,
        events: topics::events(config),
        samples: topics::samples(config),
    };
    let receiver = CommandReceiver {
        subscriber,
        config: config.clone(),
        host: host.clone(),
        publisher,
        reconnecting: None,
        notices: sender.clone(),
        last_notice: None,
    };
    Ok((sender, receiver))
}

async fn open(
    config: &BusConfig,
    host: &Name,
    max_wait: Option<Duration>,
) -> Result<(Publisher, Subscriber), BusError> {
    let (began, group) = (Instant::now(), format!("jung-runner-{host}"));
    let mut warned: Option<Instant> = None;
    loop {
        let opened = async {
            topics::ensure(config).await?;
            let subscriber = Subscriber::open(config, &group, vec![topics::commands(config)]).await?;
            Ok((Publisher::new(config)?, subscriber))
        };
        let error = match opened.await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        let (waited, is_final) = (began.elapsed(), matches!(error, BusError::Options { .. }));
        if is_final || max_wait.is_some_and(|max_wait| waited >= max_wait) {
            return Err(error);
        }
        if warned.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) {
            warn!(waited_s = waited.as_secs(), "waiting: {error}");
            warned = Some(Instant::now());
        }
        sleep(RETRY_DELAY).await;
    }
}

impl CommandReceiver {
    /// Receives the next command for this host, and commits the previous one. Cancel-safe; survives a broker restart, and reconnects after a fatal
    /// error of the client.
    pub async fn recv(&mut self) -> Envelope<Command> {
        loop {
            if let Some(connection) = &mut self.reconnecting {
                match connection.await {
                    Ok(Ok((publisher, subscriber))) => {
                        self.subscriber = subscriber;
                        self.publisher.send_replace(publisher);
                        info!("reconnected");
                    }
                    Ok(Err(error)) => error!("{error}"),
                    Err(error) => error!("{error}"),
                }
                self.reconnecting = None;
            }
            let host = &self.host;
            match self.subscriber.recv(|command| command.host == *host).await {
                Ok(Received::Message(command)) => return command,
                Ok(Received::Refused(claim, error)) => self.send_notice(claim, &error),
                Err(error) => {
                    error!("{error}; reconnecting");
                    let (config, host) = (self.config.clone(), self.host.clone());
                    self.reconnecting = Some(tokio::spawn(async move { open(&config, &host, None).await }));
                }
            }
        }
    }

    /// Tells the claimed sender of a message why it was refused, at most once per [`NOTICE_INTERVAL`]. Otherwise the controller would time out
    /// without knowing the cause.
    fn send_notice(&mut self, claim: Claim, error: &EnvelopeError) {
        let (Some(host), Some(controller), Some(epoch)) = (claim.host, claim.controller, claim.epoch) else {
            return;
        };
        if host != self.host || self.last_notice.is_some_and(|at| at.elapsed() < NOTICE_INTERVAL) {
            return;
        }
        self.last_notice = Some(Instant::now());
        let to = Reply {
            host,
            controller,
            epoch,
            attempt: None,
            in_reply_to: None,
        };
        let notice = Event::Refused(Refused {
            reason: RefusedReason::Invalid,
            why: error.to_string(),
        });
        let notices = self.notices.clone();
        tokio::spawn(async move {
            if let Err(error) = notices.send(&to, notice).await {
                debug!("{error}");
            }
        });
    }
}

impl EventSender {
    /// Sends an event and waits until the broker has acknowledged it; survives a broker restart.
    ///
    /// # Errors
    /// [`BusError::Undelivered`]; [`BusError::Envelope`] if it is too large.
    pub async fn send(&self, to: &Reply, event: Event) -> Result<(), BusError> {
        let topic = if matches!(event, Event::Samples(_) | Event::Chunk(_)) {
            &self.samples
        } else {
            &self.events
        };
        let what = format!("{} from {}", event.as_str(), to.host);
        let mut envelope = Envelope::new(to.host.clone(), to.attempt, to.controller.clone(), to.epoch, event);
        envelope.in_reply_to = to.in_reply_to;
        let delivery = self.publisher.borrow().send(topic, &envelope, what);
        delivery.await
    }
}

impl std::fmt::Debug for EventSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventSender")
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for CommandReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandReceiver")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
