//! Where one attempt stands: a pure state machine.
//!
//! ```text
//!           RUN / start           became ready          STOP, lease over, superseded,
//!                                                       shutdown / end
//!   Idle ------------> Deploying ------------> Ready -------------------------> Stopping
//!    |                  |    |                   |                               |
//!    |                  |    +-- STOP, ... / end --------------------------------+
//!    | STOP, RENEW      |                        |                               |
//!    |                  | finished               | finished (a service ended)    | finished
//!    +----------------> Done <-------------------+-------------------------------+
//! ```
//!
//! Every state but Idle carries what was said about the attempt so far. A RUN that comes again is answered by saying all of it again, a
//! STOP or RENEW after the end by its last word: so a lost answer is asked for again by sending the command again, and nothing is done twice.

use protocol::Event;
use protocol::command::{Run, StopReason};
use protocol::event::{Accepted, Failed, Ready, Stage};
use protocol::summary::Teardown;

/// What was said about an attempt, in order: ACCEPTED, READY, and SUMMARY or FAILED; or REFUSED alone.
pub type Said = Vec<Event>;

/// Where an attempt stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum State {
    /// Never heard of.
    #[default]
    Idle,
    /// Its services are being started.
    Deploying(Said),
    /// Its services answer and are sampled.
    Ready(Said),
    /// It is being torn down.
    Stopping(Said),
    /// It is over and torn down.
    Done(Said),
}

/// What happens to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// RUN came, for the first time or again.
    Run(Box<Run>),
    /// STOP came.
    Stop(StopReason),
    /// RENEW came.
    Renew,
    /// The runner itself ends it.
    End(Why),
    /// The executor has taken it on.
    Accepted,
    /// The executor has it serving.
    BecameReady(Box<Ready>),
    /// The executor is through, teardown included; its last word is SUMMARY, FAILED or REFUSED.
    Finished(Box<Event>),
}

/// Why an attempt is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The controller said so.
    Stop(StopReason),
    /// The controller was silent for longer than its lease.
    LeaseOver,
    /// A newer life of the controller has spoken.
    Superseded,
    /// The runner was told to end.
    Shutdown,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start an executor for the attempt.
    Start(Box<Run>),
    /// Tell the executor to end it.
    End(Why),
    /// Say this to the controller.
    Say(Event),
}

/// An event that cannot be in this state: a fault of this program.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{input} in state {state}")]
pub struct IllegalEvent {
    /// The state.
    pub state: &'static str,
    /// What came.
    pub input: &'static str,
}

impl State {
    /// The next state, and what is to be done.
    ///
    /// # Errors
    /// [`IllegalEvent`] for what only a faulty executor can say; commands are legal in every state.
    pub fn on(self, input: Input) -> Result<(Self, Vec<Action>), IllegalEvent> {
        match input {
            Input::Run(order) => Ok(self.run(order)),
            Input::Stop(reason) => Ok(self.stop(reason)),
            Input::Renew => Ok(self.renew()),
            Input::End(why) => self.end(why),
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

    /// Whether the attempt is alive and nobody has ended it yet.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        matches!(self, Self::Deploying(_) | Self::Ready(_))
    }

    /// What was said so far.
    #[must_use]
    pub fn said(&self) -> &[Event] {
        match self {
            Self::Idle => &[],
            Self::Deploying(said) | Self::Ready(said) | Self::Stopping(said) | Self::Done(said) => said,
        }
    }

    fn run(self, order: Box<Run>) -> (Self, Vec<Action>) {
        match self {
            Self::Idle => (Self::Deploying(Said::new()), vec![Action::Start(order)]),
            known => {
                let again = known.said().iter().cloned().map(Action::Say).collect();
                (known, again)
            }
        }
    }

    fn stop(self, reason: StopReason) -> (Self, Vec<Action>) {
        match self {
            Self::Deploying(said) | Self::Ready(said) => (Self::Stopping(said), vec![Action::End(Why::Stop(reason))]),
            Self::Stopping(said) => (Self::Stopping(said), Vec::new()),
            over => over.last_word(),
        }
    }

    fn renew(self) -> (Self, Vec<Action>) {
        if self.is_alive() {
            (self, Vec::new())
        } else {
            self.last_word()
        }
    }

    /// Says how the attempt ended; of one that was never heard of, that it is unknown, and then it cannot be run any more: its
    /// controller has given it up by then.
    fn last_word(self) -> (Self, Vec<Action>) {
        let said = match self {
            Self::Idle => vec![unknown(
                "this runner never got its RUN, or has been started again since",
            )],
            known => known.said().to_vec(),
        };
        let again = said.last().cloned().map(Action::Say).into_iter().collect();
        (Self::Done(said), again)
    }

    fn end(self, why: Why) -> Result<(Self, Vec<Action>), IllegalEvent> {
        match self {
            Self::Deploying(said) | Self::Ready(said) => Ok((Self::Stopping(said), vec![Action::End(why)])),
            Self::Stopping(said) => Ok((Self::Stopping(said), Vec::new())),
            other => Err(other.illegal("end")),
        }
    }

    fn accepted(self) -> Result<(Self, Vec<Action>), IllegalEvent> {
        let event = Event::Accepted(Accepted {});
        match self {
            Self::Deploying(said) if said.is_empty() => Ok(say(Self::Deploying, said, event)),
            Self::Stopping(said) if said.is_empty() => Ok(say(Self::Stopping, said, event)),
            other => Err(other.illegal("accepted")),
        }
    }

    fn became_ready(self, ready: Ready) -> Result<(Self, Vec<Action>), IllegalEvent> {
        let event = Event::Ready(ready);
        match self {
            Self::Deploying(said) if said.len() == 1 => Ok(say(Self::Ready, said, event)),
            Self::Stopping(said) if said.len() == 1 => Ok(say(Self::Stopping, said, event)),
            other => Err(other.illegal("became ready")),
        }
    }

    fn finished(self, last: Event) -> Result<(Self, Vec<Action>), IllegalEvent> {
        let fits = match &last {
            Event::Summary(_) => self.said().len() == 2,
            Event::Refused(_) => self.said().is_empty(),
            Event::Failed(_) => true,
            _ => false,
        };
        match self {
            Self::Deploying(said) | Self::Ready(said) | Self::Stopping(said) if fits => Ok(say(Self::Done, said, last)),
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

/// FAILED of an attempt that this runner knows nothing of.
#[must_use]
pub fn unknown(why: &str) -> Event {
    Event::Failed(Failed {
        stage: Stage::Unknown,
        why: why.to_owned(),
        logs: Vec::new(),
        teardown: Teardown::default(),
    })
}

fn say(next: fn(Said) -> State, mut said: Said, event: Event) -> (State, Vec<Action>) {
    said.push(event.clone());
    (next(said), vec![Action::Say(event)])
}

#[cfg(test)]
mod tests;
