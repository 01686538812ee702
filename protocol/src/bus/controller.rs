//! The controller's side of the bus: sends commands, receives events.

use tracing::warn;

use super::client::Publisher;
use super::config::{BusConfig, BusError};
use super::subscriber::{Received, Subscriber};
use super::topics;
use super::traffic::Traffic;
use crate::command::Command;
use crate::envelope::Envelope;
use crate::event::Event;
use crate::ids::{AttemptId, Epoch, MessageId, Name};

/// Sends commands; clones share the connection.
#[derive(Clone)]
pub struct CommandSender {
    publisher: Publisher,
    topic: String,
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
    /// Sends a command to a host, behind all earlier ones, and returns the message id, which the replies refer to. Does not wait: that the broker
    /// did not take it within [`DELIVERY_DEADLINE`](super::config::DELIVERY_DEADLINE) is logged.
    pub fn send(&self, host: &Name, attempt: Option<AttemptId>, command: Command) -> MessageId {
        let what = format!("{} to {host}", command.as_str());
        let envelope = Envelope::new(host.clone(), attempt, self.name.clone(), self.epoch, command);
        let delivery = self.publisher.send(&self.topic, &envelope, what);
        tokio::spawn(async {
            if let Err(error) = delivery.await {
                warn!("{error}");
            }
        });
        envelope.id
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
