//! The controller's side of one attempt as a pure state machine.
//!
//! ```text
//!  Asked ──ACCEPTED──▶ Deploying ──READY──▶ Loading ──load over──▶ Stopping ──SUMMARY──▶ Ended
//!    │ │                 │   │                │  │                   │   │
//!    │ └──late, cancel───┼───┴──late, cancel──┼──┴──cancel, broken──▶│   │
//!    └──REFUSED──────────┴──FAILED────────────┴──FAILED──────────────┴───┴──late──────────▶ Ended
//! ```
//! "Late" is the phase's deadline. Whatever comes twice, or after its time, changes nothing.

use protocol::command::StopReason;
use protocol::event::{Failed, Ready, Refused};
use protocol::summary::Summary;

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// RUN was sent, perhaps more than once.
    Asked,
    /// The runner is at work.
    Deploying,
    /// The services answer; the load is on.
    Loading,
    /// STOP was sent, perhaps more than once.
    Stopping(Cause),
    /// Over.
    Ended(Box<End>),
}

/// Why STOP was sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The load went through.
    LoadOver,
    /// The load could not be fired.
    LoadBroken(String),
    /// A phase took too long.
    Late(Phase),
    /// The user wants no more.
    Cancelled,
}

/// The phases that have a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Until the runner answers RUN.
    Answer,
    /// Until READY.
    Deploy,
    /// Until the load is over.
    Load,
    /// Until SUMMARY.
    Stop,
}

impl Phase {
    /// The word for it in records and on the screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "asking the runner",
            Self::Deploy => "deploying",
            Self::Load => "load",
            Self::Stop => "stopping",
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// The runner summed it up; the cause says why it was stopped.
    Summed(Cause, Summary),
    /// The runner would not.
    Refused(Refused),
    /// It broke on the runner.
    Failed(Failed),
    /// The runner did not answer in time: nobody knows what is left there.
    Silent(Phase),
}

/// What happens to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The runner took it on.
    Accepted,
    /// The runner would not.
    Refused(Refused),
    /// The services answer.
    Ready(Ready),
    /// The runner summed up.
    Summary(Summary),
    /// It broke on the runner.
    Failed(Failed),
    /// The load went through.
    LoadOver,
    /// The load could not be fired.
    LoadBroken(String),
    /// No answer yet: say it again.
    Resend,
    /// The deadline of the phase passed.
    Late,
    /// The user wants no more.
    Cancel,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send RUN, again with the same attempt.
    SendRun,
    /// Send STOP.
    SendStop(StopReason),
    /// Fire the load at the endpoints.
    StartLoad(Ready),
    /// End the load early.
    AbortLoad,
}

/// An input that a peer which keeps to the conversation cannot cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{input} makes no sense while {state}")]
pub struct IllegalInput {
    /// The input's name.
    pub input: &'static str,
    /// The state's name.
    pub state: &'static str,
}

/// The next state and what is to be done.
pub type Step = Result<(State, Vec<Action>), IllegalInput>;

impl State {
    /// The phase whose deadline runs; `None`: it is over.
    #[must_use]
    pub const fn phase(&self) -> Option<Phase> {
        match self {
            Self::Asked => Some(Phase::Answer),
            Self::Deploying => Some(Phase::Deploy),
            Self::Loading => Some(Phase::Load),
            Self::Stopping(_) => Some(Phase::Stop),
            Self::Ended(_) => None,
        }
    }

    /// The next state.
    ///
    /// # Errors
    /// [`IllegalInput`]; the state stays as it was.
    pub fn on(&self, input: Input) -> Step {
        match self {
            Self::Asked => self.on_asked(input),
            Self::Deploying => self.on_deploying(input),
            Self::Loading => self.on_loading(input),
            Self::Stopping(cause) => Ok(on_stopping(cause, input)),
            Self::Ended(_) => Ok((self.clone(), vec![])),
        }
    }

    fn on_asked(&self, input: Input) -> Step {
        match input {
            Input::Accepted => Ok((Self::Deploying, vec![])),
            Input::Refused(refused) => ended(End::Refused(refused)),
            Input::Resend => Ok((Self::Asked, vec![Action::SendRun])),
            other => self.on_deploying(other), // ACCEPTED was lost
        }
    }

    fn on_deploying(&self, input: Input) -> Step {
        match input {
            Input::Ready(ready) => Ok((Self::Loading, vec![Action::StartLoad(ready)])),
            Input::Failed(failed) => ended(End::Failed(failed)),
            Input::Late => {
                let phase = self.phase().unwrap_or(Phase::Deploy);
                Ok(stopping(Cause::Late(phase), StopReason::Deadline, false))
            }
            Input::Cancel => Ok(stopping(Cause::Cancelled, StopReason::Cancelled, false)),
            Input::Accepted | Input::Refused(_) | Input::Resend => Ok((self.clone(), vec![])),
            other => Err(self.illegal(&other)),
        }
    }

    fn on_loading(&self, input: Input) -> Step {
        match input {
            Input::LoadOver => Ok(stopping(Cause::LoadOver, StopReason::Finished, false)),
            Input::LoadBroken(why) => Ok(stopping(Cause::LoadBroken(why), StopReason::LoadFailed, false)),
            Input::Failed(failed) => Ok((Self::Ended(Box::new(End::Failed(failed))), vec![Action::AbortLoad])),
            Input::Late => Ok(stopping(Cause::Late(Phase::Load), StopReason::Deadline, true)),
            Input::Cancel => Ok(stopping(Cause::Cancelled, StopReason::Cancelled, true)),
            Input::Accepted | Input::Refused(_) | Input::Ready(_) | Input::Resend => Ok((self.clone(), vec![])),
            Input::Summary(_) => Err(self.illegal(&input)),
        }
    }

    fn illegal(&self, input: &Input) -> IllegalInput {
        let state = match self {
            Self::Asked => "asked",
            Self::Deploying => "deploying",
            Self::Loading => "loading",
            Self::Stopping(_) => "stopping",
            Self::Ended(_) => "ended",
        };
        IllegalInput {
            input: input.as_str(),
            state,
        }
    }
}

fn on_stopping(cause: &Cause, input: Input) -> (State, Vec<Action>) {
    let end = |end| (State::Ended(Box::new(end)), vec![]);
    match input {
        Input::Summary(summary) => end(End::Summed(cause.clone(), summary)),
        Input::Failed(failed) => end(End::Failed(failed)),
        Input::Refused(refused) => end(End::Refused(refused)),
        Input::Late => end(End::Silent(Phase::Stop)),
        Input::Resend => (State::Stopping(cause.clone()), vec![Action::SendStop(cause.reason())]),
        // A READY that crossed our STOP, a load that ends after it was told to.
        Input::Accepted | Input::Ready(_) | Input::LoadOver | Input::LoadBroken(_) | Input::Cancel => {
            (State::Stopping(cause.clone()), vec![])
        }
    }
}

impl Cause {
    /// What STOP says about it.
    #[must_use]
    pub const fn reason(&self) -> StopReason {
        match self {
            Self::LoadOver => StopReason::Finished,
            Self::LoadBroken(_) => StopReason::LoadFailed,
            Self::Late(_) => StopReason::Deadline,
            Self::Cancelled => StopReason::Cancelled,
        }
    }
}

impl Input {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Refused(_) => "REFUSED",
            Self::Ready(_) => "READY",
            Self::Summary(_) => "SUMMARY",
            Self::Failed(_) => "FAILED",
            Self::LoadOver => "the load's end",
            Self::LoadBroken(_) => "a broken load",
            Self::Resend => "a repetition",
            Self::Late => "a deadline",
            Self::Cancel => "a cancellation",
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
