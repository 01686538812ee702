//! The state of one attempt, as a pure state machine.
//!
//! ```text
//!           RUN / start           became ready          STOP, lease expired, superseded,
//!                                                       shutdown / end
//!   Idle ------------> Deploying ------------> Ready -------------------------> Stopping
//!    |                  |    |                   |                               |
//!    |                  |    +-- STOP, ... / end --------------------------------+
//!    | STOP, RENEW      |                        |                               |
//!    |                  | finished               | finished (a service exited)   | finished
//!    +----------------> Done <-------------------+-------------------------------+
//! ```
//!
//! Every state but Idle holds the events of the attempt so far. A repeated RUN is answered by publishing all of them again; a STOP or RENEW after the
//! end, by the last one. So a controller that missed an answer sends the command again, and nothing is done twice.

use protocol::Event;
use protocol::command::{Describe, Run, StopReason};
use protocol::event::{Accepted, Failed, Ready, Stage};
use protocol::summary::Teardown;

/// The events of an attempt, in order: ACCEPTED, READY, and SUMMARY or FAILED; or REFUSED alone.
pub type Published = Vec<Event>;

/// The state of an attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum State {
    /// Unknown.
    #[default]
    Idle,
    /// Its services are being started.
    Deploying(Published),
    /// Its services reply and are sampled.
    Ready(Published),
    /// It is being torn down.
    Stopping(Published),
    /// It has ended and is torn down.
    Done(Published),
}

/// What happens to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// RUN was received, perhaps again.
    Run(Box<Run>),
    /// STOP was received.
    Stop(StopReason),
    /// RENEW was received.
    Renew,
    /// The runner ends it.
    End(EndReason),
    /// The executor has accepted it.
    Accepted,
    /// Its services reply.
    BecameReady(Box<Ready>),
    /// The executor is done, including the teardown; the last event is SUMMARY, FAILED or REFUSED.
    Finished(Box<Event>),
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
    /// Starts an executor for the attempt.
    Start(Box<Run>),
    /// Tells the executor that the measurement window begins or ends.
    Edge,
    /// Tells the executor to end the attempt.
    End(EndReason),
}

/// An input that is impossible in this state: a bug.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{input} in state {state}")]
pub struct IllegalEvent {
    /// The state.
    pub state: &'static str,
    /// The input.
    pub input: &'static str,
}

impl State {
    /// The next state, and what to do.
    ///
    /// # Errors
    /// [`IllegalEvent`] for an input that only a faulty executor sends; commands are legal in every state.
    pub fn on(self, input: Input) -> Result<(Self, Vec<Action>), IllegalEvent> {
        match input {
            Input::Run(run) => Ok(self.run(run)),
            Input::Stop(reason) => Ok(self.stop(reason)),
            Input::Renew => Ok(self.renew()),
            Input::End(reason) => self.end(reason),
            Input::Accepted => self.accepted(),
            Input::BecameReady(ready) => self.became_ready(*ready),
            Input::Finished(last) => self.finished(*last),
        }
    }

    /// Whether the attempt occupies the runner.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Deploying(_) | Self::Ready(_) | Self::Stopping(_))
    }

    /// Whether the attempt occupies the runner and was not told to end.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        matches!(self, Self::Deploying(_) | Self::Ready(_))
    }

    /// The events so far.
    #[must_use]
    pub fn published(&self) -> &[Event] {
        match self {
            Self::Idle => &[],
            Self::Deploying(published) | Self::Ready(published) | Self::Stopping(published) | Self::Done(published) => {
                published
            }
        }
    }

    fn run(self, run: Box<Run>) -> (Self, Vec<Action>) {
        match self {
            Self::Idle => (Self::Deploying(Published::new()), vec![Action::Start(run)]),
            known => {
                let again = known.published().iter().cloned().map(Action::Publish).collect();
                (known, again)
            }
        }
    }

    fn stop(self, reason: StopReason) -> (Self, Vec<Action>) {
        match self {
            Self::Deploying(published) | Self::Ready(published) => {
                (Self::Stopping(published), vec![Action::End(EndReason::Stop(reason))])
            }
            Self::Stopping(published) => (Self::Stopping(published), Vec::new()),
            done => done.last_event(),
        }
    }

    fn renew(self) -> (Self, Vec<Action>) {
        if self.is_alive() {
            (self, Vec::new())
        } else {
            self.last_event()
        }
    }

    /// Publishes the last event again. An unknown attempt fails as unknown and cannot be run any more, since its controller gives it up then.
    fn last_event(self) -> (Self, Vec<Action>) {
        let published = match self {
            Self::Idle => vec![unknown("this runner never received its RUN, or was restarted since")],
            known => known.published().to_vec(),
        };
        let again = published.last().cloned().map(Action::Publish).into_iter().collect();
        (Self::Done(published), again)
    }

    fn end(self, reason: EndReason) -> Result<(Self, Vec<Action>), IllegalEvent> {
        match self {
            Self::Deploying(published) | Self::Ready(published) => {
                Ok((Self::Stopping(published), vec![Action::End(reason)]))
            }
            Self::Stopping(published) => Ok((Self::Stopping(published), Vec::new())),
            other => Err(other.illegal("end")),
        }
    }

    fn accepted(self) -> Result<(Self, Vec<Action>), IllegalEvent> {
        let event = Event::Accepted(Accepted {});
        match self {
            Self::Deploying(published) if published.is_empty() => Ok(publish(Self::Deploying, published, event)),
            Self::Stopping(published) if published.is_empty() => Ok(publish(Self::Stopping, published, event)),
            other => Err(other.illegal("accepted")),
        }
    }

    fn became_ready(self, ready: Ready) -> Result<(Self, Vec<Action>), IllegalEvent> {
        let event = Event::Ready(ready);
        match self {
            Self::Deploying(published) if published.len() == 1 => Ok(publish(Self::Ready, published, event)),
            Self::Stopping(published) if published.len() == 1 => Ok(publish(Self::Stopping, published, event)),
            other => Err(other.illegal("became ready")),
        }
    }

    fn finished(self, last: Event) -> Result<(Self, Vec<Action>), IllegalEvent> {
        let fits = match &last {
            Event::Summary(_) => self.published().len() == 2,
            Event::Refused(_) => self.published().is_empty(),
            Event::Failed(_) => true,
            _ => false,
        };
        match self {
            Self::Deploying(published) | Self::Ready(published) | Self::Stopping(published) if fits => {
                Ok(publish(Self::Done, published, last))
            }
            other => Err(other.illegal("finished")),
        }
    }

    fn illegal(&self, input: &'static str) -> IllegalEvent {
        let state = match self {
            Self::Idle => "idle",
            Self::Deploying(_) => "deploying",
            Self::Ready(_) => "ready",
            Self::Stopping(_) => "stopping",
            Self::Done(_) => "done",
        };
        IllegalEvent { state, input }
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

fn publish(next: fn(Published) -> State, mut published: Published, event: Event) -> (State, Vec<Action>) {
    published.push(event.clone());
    (next(published), vec![Action::Publish(event)])
}

#[cfg(test)]
mod tests;
