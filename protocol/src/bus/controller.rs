//! The controller's side of the bus: sends commands, receives events.

use super::client::Publisher;
use super::subscriber::{Received, Subscriber};
use super::traffic::Traffic;
use super::{BusConfig, BusError, topics};
use crate::command::Command;
use crate::envelope::Envelope;
use crate::event::Event;
use crate::ids::{AttemptId, Epoch, MessageId, Name};
use crate::sign::SigningKey;

/// Sends commands; clones share the connection.
#[derive(Clone)]
pub struct CommandSender {
    publisher: Publisher,
    topic: String,
    key: Option<SigningKey>,
    name: Name,
    epoch: Epoch,
}

/// Receives the events that are addressed to this controller.
pub struct EventReceiver {
    subscriber: Subscriber,
    name: Name,
    epoch: Epoch,
}

/// Creates missing topics and connects a controller. Events that are sent after this returns are received.
///
/// # Errors
/// [`BusError::Unreachable`], [`BusError::Options`] or [`BusError::Topic`].
pub async fn connect_controller(
    config: &BusConfig,
    name: &Name,
    epoch: Epoch,
) -> Result<(CommandSender, EventReceiver), BusError> {
    topics::ensure(config).await?;
    let topics = vec![topics::events(config), topics::samples(config)];
    let subscriber = Subscriber::open(config, &format!("jung-controller-{name}"), topics).await?;
    let sender = CommandSender {
        publisher: Publisher::new(config)?,
        topic: topics::commands(config),
        key: config.key.clone(),
        name: name.clone(),
        epoch,
    };
    Ok((
        sender,
        EventReceiver {
            subscriber,
            name: name.clone(),
            epoch,
        },
    ))
}

impl CommandSender {
    /// Sends a command to a host and waits until the broker has acknowledged it. Returns the message id, which the replies refer to.
    ///
    /// # Errors
    /// [`BusError::Undelivered`]; [`BusError::Envelope`] if it is too large.
    pub async fn send(&self, host: &Name, attempt: Option<AttemptId>, command: Command) -> Result<MessageId, BusError> {
        let what = format!("{} to {host}", command.as_str());
        let envelope = Envelope::new(host.clone(), attempt, self.name.clone(), self.epoch, command);
        let bytes = envelope.encode(self.key.as_ref())?;
        self.publisher.send(&self.topic, host, &what, &bytes).await?;
        Ok(envelope.id)
    }
}

impl EventReceiver {
    /// Receives the next event for this controller and epoch, and commits the previous one. Cancel-safe; survives a broker restart.
    ///
    /// # Errors
    /// [`BusError::Fatal`].
    pub async fn recv(&mut self) -> Result<Envelope<Event>, BusError> {
        let (name, epoch) = (&self.name, self.epoch);
        loop {
            let mine = |event: &Envelope<Event>| event.controller == *name && event.epoch == epoch;
            let Received::Message(event) = self.subscriber.recv(mine).await? else {
                continue;
            };
            match refusal_notice(&event) {
                Some(why) => self.subscriber.traffic().notice(&event.host, why),
                None => return Ok(event),
            }
        }
    }

    /// Statistics of all messages that arrived, including those for other controllers.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.subscriber.traffic().clone()
    }
}

/// The reason given by a daemon that could not decode or authenticate our commands. Such a notice refers to no command and no attempt, so a
/// forged command cannot use it to end an attempt.
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
