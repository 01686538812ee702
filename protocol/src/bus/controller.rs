//! The controller's ends: commands out, events in.

use super::inbox::{Inbox, Received};
use super::outbox::Outbox;
use super::traffic::Traffic;
use super::{BusConfig, BusError, topics};
use crate::command::Command;
use crate::envelope::Envelope;
use crate::event::Event;
use crate::ids::{AttemptId, Epoch, MessageId, Name};
use crate::sign::SigningKey;

/// Sends commands; a clone shares the connection.
#[derive(Clone)]
pub struct CommandSender {
    outbox: Outbox,
    topic: String,
    key: Option<SigningKey>,
    name: Name,
    epoch: Epoch,
}

/// Receives the events that are addressed to this controller.
pub struct EventReceiver {
    inbox: Inbox,
    name: Name,
    epoch: Epoch,
}

/// Makes missing topics and connects a controller; what runners say after this returns is received.
///
/// # Errors
/// [`BusError::Unreachable`], [`BusError::Options`] or [`BusError::Topic`].
pub async fn connect_controller(
    config: &BusConfig,
    name: &Name,
    epoch: Epoch,
) -> Result<(CommandSender, EventReceiver), BusError> {
    topics::ensure(config).await?;
    let read = vec![topics::events(config), topics::samples(config)];
    let inbox = Inbox::open(config, &format!("jung-controller-{name}"), read).await?;
    let sender = CommandSender {
        outbox: Outbox::new(config)?,
        topic: topics::commands(config),
        key: config.key.clone(),
        name: name.clone(),
        epoch,
    };
    Ok((
        sender,
        EventReceiver {
            inbox,
            name: name.clone(),
            epoch,
        },
    ))
}

impl CommandSender {
    /// Sends a command to a host's runner and waits until the broker has it. Says under which id it went, which the answers name.
    ///
    /// # Errors
    /// [`BusError::Undelivered`]; [`BusError::Envelope`] where it is too large.
    pub async fn send(&self, host: &Name, attempt: Option<AttemptId>, command: Command) -> Result<MessageId, BusError> {
        let what = format!("{} to {host}", command.word());
        let envelope = Envelope::new(host.clone(), attempt, self.name.clone(), self.epoch, command);
        let bytes = envelope.encode(self.key.as_ref())?;
        self.outbox.send(&self.topic, host, &what, &bytes).await?;
        Ok(envelope.id)
    }
}

impl EventReceiver {
    /// The next event for this controller and epoch. The one before it counts as handled. Cancel-safe; waits through a broker's restart.
    ///
    /// # Errors
    /// [`BusError::Fatal`].
    pub async fn recv(&mut self) -> Result<Envelope<Event>, BusError> {
        let (name, epoch) = (&self.name, self.epoch);
        loop {
            let mine = |event: &Envelope<Event>| event.controller == *name && event.epoch == epoch;
            let Received::Message(event) = self.inbox.recv(mine).await? else {
                continue;
            };
            match refusal_notice(&event) {
                Some(why) => self.inbox.traffic().notice(&event.host, why),
                None => return Ok(event),
            }
        }
    }

    /// What arrived at this end, whoever it was for.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.inbox.traffic().clone()
    }
}

/// The words of a daemon that refuses our commands without having understood or trusted them. Such a notice answers nothing and is about no
/// attempt, so that a forged command cannot end anything by way of it.
fn refusal_notice(event: &Envelope<Event>) -> Option<&str> {
    match &event.body {
        Event::Refused(refused) if event.in_reply_to.is_none() && event.attempt.is_none() => Some(&refused.why),
        _ => None,
    }
}

impl std::fmt::Debug for CommandSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandSender")
            .field("topic", &self.topic)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for EventReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventReceiver")
            .field("name", &self.name)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
