//! The runner's ends: commands in, events out.

use super::inbox::Inbox;
use super::outbox::Outbox;
use super::{BusConfig, BusError, topics};
use crate::command::Command;
use crate::envelope::Envelope;
use crate::event::Event;
use crate::ids::{AttemptId, Epoch, MessageId, Name};
use crate::sign::SigningKey;

/// Sends events; a clone shares the connection.
#[derive(Clone)]
pub struct EventSender {
    outbox: Outbox,
    events: String,
    samples: String,
    key: Option<SigningKey>,
}

/// Receives the commands for one host.
pub struct CommandReceiver {
    inbox: Inbox,
    host: Name,
}

/// To whom an event goes and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The runner's host.
    pub host: Name,
    /// The controller addressed.
    pub controller: Name,
    /// Its generation.
    pub epoch: Epoch,
    /// The attempt that the event is about.
    pub attempt: Option<AttemptId>,
    /// The command that it answers.
    pub in_reply_to: Option<MessageId>,
}

impl Reply {
    /// The answer to a command.
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

/// Makes missing topics and connects a host's runner; what controllers say after this returns is received.
///
/// # Errors
/// [`BusError::Unreachable`], [`BusError::Options`] or [`BusError::Topic`].
pub async fn connect_runner(config: &BusConfig, host: &Name) -> Result<(EventSender, CommandReceiver), BusError> {
    topics::ensure(config).await?;
    let inbox = Inbox::open(config, &format!("jung-runner-{host}"), vec![topics::commands(config)]).await?;
    let sender = EventSender {
        outbox: Outbox::new(config)?,
        events: topics::events(config),
        samples: topics::samples(config),
        key: config.key.clone(),
    };
    Ok((
        sender,
        CommandReceiver {
            inbox,
            host: host.clone(),
        },
    ))
}

impl CommandReceiver {
    /// The next command for this host. The one before it counts as handled. Cancel-safe; waits through a broker's restart.
    ///
    /// # Errors
    /// [`BusError::Fatal`].
    pub async fn recv(&mut self) -> Result<Envelope<Command>, BusError> {
        let host = &self.host;
        self.inbox
            .recv(|command: &Envelope<Command>| command.host == *host)
            .await
    }
}

impl EventSender {
    /// Sends an event and waits until the broker has it, through its restart if need be.
    ///
    /// # Errors
    /// [`BusError::Undelivered`]; [`BusError::Envelope`] where it is too large.
    pub async fn send(&self, to: &Reply, event: Event) -> Result<(), BusError> {
        let topic = if matches!(event, Event::Samples(_) | Event::Chunk(_)) {
            &self.samples
        } else {
            &self.events
        };
        let what = format!("{} from {}", event.word(), to.host);
        let mut envelope = Envelope::new(to.host.clone(), to.attempt, to.controller.clone(), to.epoch, event);
        envelope.in_reply_to = to.in_reply_to;
        let bytes = envelope.encode(self.key.as_ref())?;
        self.outbox.send(topic, &to.host, &what, &bytes).await
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
