//! The state machine of an attempt on the controller's side, pure.
//!
//! ```text
//!  Requested ──ACCEPTED──▶ Deploying ──READY──▶ Loading ──load done──▶ Stopping ──SUMMARY──▶ Ended
//!    │ │                     │   │                │  │                    │   │
//!    │ └─deadline, cancel────┼───┴─deadline,cancel┼──┴─cancel, failure───▶│   │
//!    └──REFUSED──────────────┴──FAILED────────────┴──FAILED───────────────┴───┴─deadline────▶ Ended
//! ```
//! Repeated and late messages change nothing.

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
pub enum Input {
    /// The runner accepted the attempt.
    Accepted,
    /// The runner refused it.
    Refused(Refused),
    /// The services are ready.
    Ready(Ready),
    /// The runner sent SUMMARY.
    Summary(Summary),
    /// The attempt failed on the runner.
    Failed(Failed),
    /// The load completed.
    LoadDone,
    /// The load failed.
    LoadFailed(String),
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
            Self::Ended(_) => Ok((self.clone(), vec![])),
        }
    }

    fn on_requested(&self, input: Input) -> Step {
        match input {
            Input::Accepted => Ok((Self::Deploying, vec![])),
            Input::Refused(refused) => ended(End::Refused(refused)),
            Input::Resend => Ok((Self::Requested, vec![Action::SendRun])),
            other => self.on_deploying(other), // ACCEPTED was lost
        }
    }

    fn on_deploying(&self, input: Input) -> Step {
        match input {
            Input::Ready(ready) => Ok((Self::Loading, vec![Action::StartLoad(Box::new(ready))])),
            Input::Failed(failed) => ended(End::Failed(failed)),
            Input::Deadline => {
                let phase = self.phase().unwrap_or(Phase::Deploy);
                Ok(stopping(Cause::Deadline(phase), StopReason::Deadline, false))
            }
            Input::Cancel => Ok(stopping(Cause::Cancelled, StopReason::Cancelled, false)),
            Input::Accepted | Input::Refused(_) | Input::Resend => Ok((self.clone(), vec![])),
            other => Err(self.illegal(&other)),
        }
    }

    fn on_loading(&self, input: Input) -> Step {
        match input {
            Input::LoadDone => Ok(stopping(Cause::LoadDone, StopReason::Finished, false)),
            Input::LoadFailed(why) => Ok(stopping(Cause::LoadFailed(why), StopReason::LoadFailed, false)),
            Input::Failed(failed) => Ok((Self::Ended(Box::new(End::Failed(failed))), vec![Action::AbortLoad])),
            Input::Deadline => Ok(stopping(Cause::Deadline(Phase::Load), StopReason::Deadline, true)),
            Input::Cancel => Ok(stopping(Cause::Cancelled, StopReason::Cancelled, true)),
            Input::Accepted | Input::Refused(_) | Input::Ready(_) | Input::Resend => Ok((self.clone(), vec![])),
            Input::Summary(_) => Err(self.illegal(&input)),
        }
    }

    fn illegal(&self, input: &Input) -> IllegalInput {
        let state = match self {
            Self::Requested => "requested",
            Self::Deploying => "deploying",
            Self::Loading => "loading",
            Self::Stopping(_) => "stopping",
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
        Input::Summary(summary) => end(End::Summary(cause.clone(), summary)),
        Input::Failed(failed) => end(End::Failed(failed)),
        Input::Refused(refused) => end(End::Refused(refused)),
        Input::Deadline => end(End::NoAnswer(Phase::Stop)),
        Input::Resend => (State::Stopping(cause.clone()), vec![Action::SendStop(cause.reason())]),
        // A READY that crossed STOP, or a load that ended after it was aborted.
        Input::Accepted | Input::Ready(_) | Input::LoadDone | Input::LoadFailed(_) | Input::Cancel => {
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
            Self::Accepted => "ACCEPTED",
            Self::Refused(_) => "REFUSED",
            Self::Ready(_) => "READY",
            Self::Summary(_) => "SUMMARY",
            Self::Failed(_) => "FAILED",
            Self::LoadDone => "end of load",
            Self::LoadFailed(_) => "load failure",
            Self::Resend => "resend",
            Self::Deadline => "deadline",
            Self::Cancel => "cancellation",
        }
    }
}

fn ended(end: End) -> Step {
    Ok((State::Ended(Box::new(end)), vec![]))
}

fn stopping(cause: Cause, reason: StopReason, abort: bool) -> (State, Vec<Action>) {
    let mut actions = vec![Action::SendStop(reason)];
    if abort {
        actions.insert(0, Action::AbortLoad);
    }
    (State::Stopping(cause), actions)
}

#[cfg(test)]
mod tests;
