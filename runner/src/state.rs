//! The state of one attempt, as a pure state machine.
//!
//! ```text
//!    RUN / start              READY              STOP, lease expired, superseded,
//!                                                shutdown / end
//!   ------------> Deploying ---------> Ready ------------------------------> Stopping
//!                  |    |                |                                    |
//!                  |    +-- STOP, ... / end ----------------------------------+
//!    STOP, RENEW   |                     |                                    |
//!    (unknown)     | last event          | FAILED (a service exited)          | last event
//!   ------------> Done <-----------------+------------------------------------+
//! ```
//!
//! A state has the events of the attempt so far. A repeated RUN is answered by publishing all of them again; a STOP or RENEW after the end, by the last
//! one. So a controller that missed an answer sends the command again, and nothing is done twice.

use protocol::Event;
use protocol::command::{Describe, Run, StopReason};
use protocol::event::{Failed, Stage};
use protocol::summary::Teardown;

/// The state of an attempt; at first, of one that is about to be started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    phase: Phase,
    /// Its events, in order: ACCEPTED, READY, and SUMMARY or FAILED; or REFUSED alone.
    published: Vec<Event>,
}

/// The phase of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Its services are being started.
    #[default]
    Deploying,
    /// Its services reply and are sampled.
    Ready,
    /// It is being torn down.
    Stopping,
    /// It has ended and is torn down.
    Done,
}

/// What happens to an attempt.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "inputs are few, and most are events")]
pub enum Input {
    /// RUN was received again.
    Run,
    /// STOP was received.
    Stop(StopReason),
    /// RENEW was received.
    Renew,
    /// The runner ends it.
    End(EndReason),
    /// Its task reports an event; the last one, SUMMARY, FAILED or REFUSED, follows the teardown.
    Event(Event),
}

/// Why an attempt is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The controller sent STOP.
    Stop(StopReason),
    /// The controller's lease expired.
    LeaseExpired,
    /// The controller was restarted: a command of a higher epoch was received.
    Superseded,
    /// The runner shuts down.
    Shutdown,
}

/// What the daemon does, for an attempt or to answer a command that is about none.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Publishes an event.
    Publish(Event),
    /// Answers PING with the clock.
    Pong,
    /// Answers DESCRIBE with facts.
    Describe(Describe),
    /// Starts a task for the attempt.
    Start(Box<Run>),
    /// Tells the task that the measurement window begins or ends.
    Edge,
    /// Tells the task to end the attempt.
    End(EndReason),
}

/// An event that is impossible in this phase: a bug.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{event} in phase {phase:?}")]
pub struct IllegalEvent {
    /// The phase; `None`: the attempt is unknown.
    pub phase: Option<Phase>,
    /// The event.
    pub event: &'static str,
}

impl State {
    /// The state of an attempt of which only the end is known. It cannot be run any more, since its controller gives it up.
    #[must_use]
    pub fn done(last: Event) -> Self {
        let (phase, published) = (Phase::Done, vec![last]);
        Self { phase, published }
    }

    /// The phase.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the attempt occupies the runner and was not told to end.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        matches!(self.phase, Phase::Deploying | Phase::Ready)
    }

    /// The next state, and what to do.
    ///
    /// # Errors
    /// [`IllegalEvent`] for an event that only a faulty task reports; all other inputs are legal in every state.
    pub fn on(mut self, input: Input) -> Result<(Self, Vec<Action>), IllegalEvent> {
        let mut published = self.published.iter().cloned().map(Action::Publish);
        let actions = match (input, self.phase) {
            (Input::Run, _) => published.collect(),
            (Input::Stop(_) | Input::Renew, Phase::Done) => published.next_back().into_iter().collect(),
            (Input::Stop(reason), Phase::Deploying | Phase::Ready) => self.end(EndReason::Stop(reason)),
            (Input::End(reason), Phase::Deploying | Phase::Ready) => self.end(reason),
            (Input::Stop(_) | Input::Renew | Input::End(_), _) => Vec::new(),
            (Input::Event(event), phase) => {
                self.phase = self.phase_after(&event).ok_or(IllegalEvent {
                    phase: Some(phase),
                    event: event.as_str(),
                })?;
                self.published.push(event.clone());
                vec![Action::Publish(event)]
            }
        };
        Ok((self, actions))
    }

    fn end(&mut self, reason: EndReason) -> Vec<Action> {
        self.phase = Phase::Stopping;
        vec![Action::End(reason)]
    }

    /// The phase after an event of the attempt's task; `None`: the event is impossible now.
    fn phase_after(&self, event: &Event) -> Option<Phase> {
        match (event, self.phase, self.published.len()) {
            (_, Phase::Done, _) => None,
            (Event::Accepted(_), phase, 0) => Some(phase),
            // A READY may cross a STOP.
            (Event::Ready(_), Phase::Deploying, 1) => Some(Phase::Ready),
            (Event::Ready(_), Phase::Stopping, 1) => Some(Phase::Stopping),
            (Event::Summary(_), _, 2) | (Event::Refused(_), _, 0) | (Event::Failed(_), ..) => Some(Phase::Done),
            _ => None,
        }
    }
}

/// FAILED of an attempt that this runner does not know.
#[must_use]
pub fn unknown(why: &str) -> Event {
    Event::Failed(Failed {
        stage: Stage::Unknown,
        why: why.to_owned(),
        logs: Vec::new(),
        teardown: Teardown::default(),
    })
}

#[cfg(test)]
mod tests;
