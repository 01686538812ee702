//! The state machine of an attempt on the controller's side, pure.
//!
//! ```text
//!  Requested ──ACCEPTED──▶ Deploying ──READY──▶ Loading ──load done──▶ Stopping ──SUMMARY──▶ Collecting ──▶ Ended
//!    │ │                     │   │                │  │                    │   │              samples, deadline, cancel
//!    │ └─deadline, cancel────┼───┴─deadline,cancel┼──┴─cancel, failure───▶│   │
//!    └──REFUSED──────────────┴──FAILED────────────┴──FAILED───────────────┴───┴─deadline, cancel──────────▶ Ended
//! ```
//! Repeated and late messages change nothing. A cancellation sends STOP; when STOP was sent before, it ends the attempt.

use protocol::Event;
use protocol::command::StopReason;
use protocol::event::{Failed, Ready, Refused};
use protocol::summary::Summary;

/// The state of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// RUN was sent, possibly more than once.
    Requested,
    /// The runner accepted the attempt.
    Deploying,
    /// The services are ready; the load is running.
    Loading,
    /// STOP was sent, possibly more than once.
    Stopping(Cause),
    /// SUMMARY was received; samples that it counts may still be in transit on their topic.
    Collecting(Box<End>),
    /// The attempt is over.
    Ended(Box<End>),
}

/// Why STOP was sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The load completed.
    LoadDone,
    /// The load failed.
    LoadFailed(String),
    /// A phase exceeded its deadline.
    Deadline(Phase),
    /// The user interrupted the run.
    Cancelled,
}

/// The phases with a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Until the runner answers RUN.
    Answer,
    /// Until READY.
    Deploy,
    /// Until the load completes.
    Load,
    /// Until SUMMARY.
    Stop,
    /// Until all samples are received.
    Collect,
}

impl Phase {
    /// The name in records and progress output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answer => "run request",
            Self::Deploy => "deployment",
            Self::Load => "load",
            Self::Stop => "stop",
            Self::Collect => "samples",
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// The runner sent SUMMARY; the cause says why it was stopped.
    Summary(Cause, Summary),
    /// The runner refused the attempt.
    Refused(Refused),
    /// The attempt failed on the runner.
    Failed(Failed),
    /// The runner did not answer in time; its state is unknown.
    NoAnswer(Phase),
}

/// The inputs of the state machine.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "inputs are few, and most are events")]
pub enum Input {
    /// The runner sent an event.
    Event(Event),
    /// The load completed.
    LoadDone,
    /// The load failed.
    LoadFailed(String),
    /// All samples were received.
    Collected,
    /// No reply yet: send the message again.
    Resend,
    /// The deadline of the phase expired.
    Deadline,
    /// The user interrupted the run.
    Cancel,
}

/// The actions of the state machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send RUN, again with the same attempt.
    SendRun,
    /// Send STOP.
    SendStop(StopReason),
    /// Start the load at the endpoints.
    StartLoad(Box<Ready>),
    /// Abort the load.
    AbortLoad,
}

/// An input that a correct peer cannot cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unexpected {input} in state {state}")]
pub struct IllegalInput {
    /// The input's name.
    pub input: &'static str,
    /// The state's name.
    pub state: &'static str,
}

/// The next state and the actions.
pub type Step = Result<(State, Vec<Action>), IllegalInput>;

impl State {
    /// The phase whose deadline is running; `None`: the attempt is over.
    #[must_use]
    pub const fn phase(&self) -> Option<Phase> {
        match self {
            Self::Requested => Some(Phase::Answer),
            Self::Deploying => Some(Phase::Deploy),
            Self::Loading => Some(Phase::Load),
            Self::Stopping(_) => Some(Phase::Stop),
            Self::Collecting(_) => Some(Phase::Collect),
            Self::Ended(_) => None,
        }
    }

    /// The next state.
    ///
    /// # Errors
    /// [`IllegalInput`]; the state is unchanged.
    pub fn on(&self, input: Input) -> Step {
        match self {
            Self::Requested => self.on_requested(input),
            Self::Deploying => self.on_deploying(input),
            Self::Loading => self.on_loading(input),
            Self::Stopping(cause) => Ok(on_stopping(cause, input)),
            Self::Collecting(end) if matches!(input, Input::Collected | Input::Deadline | Input::Cancel) => {
                Ok((Self::Ended(end.clone()), vec![]))
            }
            Self::Collecting(_) | Self::Ended(_) => Ok((self.clone(), vec![])),
        }
    }

    fn on_requested(&self, input: Input) -> Step {
        match input {
            Input::Event(Event::Accepted(_)) => Ok((Self::Deploying, vec![])),
            Input::Event(Event::Refused(refused)) => ended(End::Refused(refused)),
            Input::Resend => Ok((Self::Requested, vec![Action::SendRun])),
            other => self.on_deploying(other), // ACCEPTED was lost
        }
    }

    fn on_deploying(&self, input: Input) -> Step {
        match input {
            Input::Event(Event::Ready(ready)) => Ok((Self::Loading, vec![Action::StartLoad(Box::new(ready))])),
            Input::Event(Event::Failed(failed)) => ended(End::Failed(failed)),
            Input::Deadline => {
                let phase = self.phase().unwrap_or(Phase::Deploy);
                Ok(stopping(Cause::Deadline(phase), false))
            }
            Input::Cancel => Ok(stopping(Cause::Cancelled, false)),
            Input::Event(Event::Accepted(_) | Event::Refused(_)) | Input::Resend => Ok((self.clone(), vec![])),
            other => Err(self.illegal(&other)),
        }
    }

    fn on_loading(&self, input: Input) -> Step {
        match input {
            Input::LoadDone => Ok(stopping(Cause::LoadDone, false)),
            Input::LoadFailed(why) => Ok(stopping(Cause::LoadFailed(why), false)),
            Input::Event(Event::Failed(failed)) => {
                Ok((Self::Ended(Box::new(End::Failed(failed))), vec![Action::AbortLoad]))
            }
            Input::Deadline => Ok(stopping(Cause::Deadline(Phase::Load), true)),
            Input::Cancel => Ok(stopping(Cause::Cancelled, true)),
            Input::Event(Event::Accepted(_) | Event::Refused(_) | Event::Ready(_)) | Input::Resend => {
                Ok((self.clone(), vec![]))
            }
            other => Err(self.illegal(&other)),
        }
    }

    fn illegal(&self, input: &Input) -> IllegalInput {
        let state = match self {
            Self::Requested => "requested",
            Self::Deploying => "deploying",
            Self::Loading => "loading",
            Self::Stopping(_) => "stopping",
            Self::Collecting(_) => "collecting",
            Self::Ended(_) => "ended",
        };
        IllegalInput {
            input: input.name(),
            state,
        }
    }
}

fn on_stopping(cause: &Cause, input: Input) -> (State, Vec<Action>) {
    let end = |end| (State::Ended(Box::new(end)), vec![]);
    match input {
        Input::Event(Event::Summary(summary)) => {
            let end = End::Summary(cause.clone(), summary);
            (State::Collecting(Box::new(end)), vec![])
        }
        Input::Event(Event::Failed(failed)) => end(End::Failed(failed)),
        Input::Event(Event::Refused(refused)) => end(End::Refused(refused)),
        Input::Deadline | Input::Cancel => end(End::NoAnswer(Phase::Stop)),
        Input::Resend => (State::Stopping(cause.clone()), vec![Action::SendStop(cause.reason())]),
        // A READY that crossed STOP, or a load that ended after it was aborted.
        Input::Event(_) | Input::LoadDone | Input::LoadFailed(_) | Input::Collected => {
            (State::Stopping(cause.clone()), vec![])
        }
    }
}

impl Cause {
    /// The reason given in STOP.
    #[must_use]
    pub const fn reason(&self) -> StopReason {
        match self {
            Self::LoadDone => StopReason::Finished,
            Self::LoadFailed(_) => StopReason::LoadFailed,
            Self::Deadline(_) => StopReason::Deadline,
            Self::Cancelled => StopReason::Cancelled,
        }
    }
}

impl Input {
    const fn name(&self) -> &'static str {
        match self {
            Self::Event(event) => event.as_str(),
            Self::LoadDone => "end of load",
            Self::LoadFailed(_) => "load failure",
            Self::Collected => "end of samples",
            Self::Resend => "resend",
            Self::Deadline => "deadline",
            Self::Cancel => "cancellation",
        }
    }
}

fn ended(end: End) -> Step {
    Ok((State::Ended(Box::new(end)), vec![]))
}

fn stopping(cause: Cause, abort: bool) -> (State, Vec<Action>) {
    let mut actions = vec![Action::SendStop(cause.reason())];
    if abort {
        actions.insert(0, Action::AbortLoad);
    }
    (State::Stopping(cause), actions)
}

#[cfg(test)]
mod tests;
