//! The side of runners and loaders: receives commands, sends events.

use std::time::{Duration, Instant};

use tracing::debug;

use super::client::Publisher;
use super::subscriber::{Received, Subscriber};
use super::{BusConfig, BusError, topics};
use crate::command::Command;
use crate::envelope::{Claim, Envelope, EnvelopeError};
use crate::event::{Event, Refused, RefusedReason};
use crate::ids::{AttemptId, Epoch, MessageId, Name};
use crate::sign::SigningKey;

/// Sends events; clones share the connection.
#[derive(Clone)]
pub struct EventSender {
    publisher: Publisher,
    events: String,
    samples: String,
    key: Option<SigningKey>,
}

/// Receives the commands for one host.
pub struct CommandReceiver {
    subscriber: Subscriber,
    host: Name,
    /// Notifies controllers whose commands are refused.
    notices: EventSender,
    last_notice: Option<Instant>,
}

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

/// Creates missing topics and connects a host's daemon. Commands that are sent after this returns are received.
///
/// # Errors
/// [`BusError::Unreachable`], [`BusError::Options`] or [`BusError::Topic`].
pub async fn connect_runner(config: &BusConfig, host: &Name) -> Result<(EventSender, CommandReceiver), BusError> {
    topics::ensure(config).await?;
    let subscriber = Subscriber::open(config, &format!("jung-runner-{host}"), vec![topics::commands(config)]).await?;
    let sender = EventSender {
        publisher: Publisher::new(config)?,
        events: topics::events(config),
        samples: topics::samples(config),
        key: config.key.clone(),
    };
    let receiver = CommandReceiver {
        subscriber,
        host: host.clone(),
        notices: sender.clone(),
        last_notice: None,
    };
    Ok((sender, receiver))
}

impl CommandReceiver {
    /// Receives the next command for this host, and commits the previous one. Cancel-safe; survives a broker restart.
    ///
    /// # Errors
    /// [`BusError::Fatal`].
    pub async fn recv(&mut self) -> Result<Envelope<Command>, BusError> {
        loop {
            let host = &self.host;
            match self.subscriber.recv(|command| command.host == *host).await? {
                Received::Message(command) => return Ok(command),
                Received::Refused(claim, error) => self.send_notice(claim, &error),
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
        let bytes = envelope.encode(self.key.as_ref())?;
        self.publisher.send(topic, &to.host, &what, &bytes).await
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
