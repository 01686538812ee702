//! The runner's ends: commands in, events out.

use std::time::{Duration, Instant};

use tracing::debug;

use super::inbox::{Inbox, Received};
use super::outbox::Outbox;
use super::{BusConfig, BusError, topics};
use crate::command::Command;
use crate::envelope::{Claim, Envelope, EnvelopeError};
use crate::event::{Event, Refused, RefusedReason};
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
    /// Tells controllers whose commands are refused.
    notices: EventSender,
    noticed: Option<Instant>,
}

/// The shortest time between two notices of refused commands: less than the time after which a question is asked again.
const NOTICE_EVERY: Duration = Duration::from_millis(500);

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
    let receiver = CommandReceiver {
        inbox,
        host: host.clone(),
        notices: sender.clone(),
        noticed: None,
    };
    Ok((sender, receiver))
}

impl CommandReceiver {
    /// The next command for this host. The one before it counts as handled. Cancel-safe; waits through a broker's restart.
    ///
    /// # Errors
    /// [`BusError::Fatal`].
    pub async fn recv(&mut self) -> Result<Envelope<Command>, BusError> {
        loop {
            let host = &self.host;
            match self.inbox.recv(|command| command.host == *host).await? {
                Received::Message(command) => return Ok(command),
                Received::Refused(claim, error) => self.give_notice(claim, &error),
            }
        }
    }

    /// Tells the controller that a message claims to be of why it was refused, at most once in [`NOTICE_EVERY`]. Without it the controller
    /// would wait for its deadline and not know why.
    fn give_notice(&mut self, claim: Claim, error: &EnvelopeError) {
        let (Some(host), Some(controller), Some(epoch)) = (claim.host, claim.controller, claim.epoch) else {
            return;
        };
        if host != self.host || self.noticed.is_some_and(|at| at.elapsed() < NOTICE_EVERY) {
            return;
        }
        self.noticed = Some(Instant::now());
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
