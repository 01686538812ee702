//! Everything that the runner knows of attempts and controllers, and what is to be done about each message. Pure: no clock, no I/O.
//!
//! The table passes a command through three gates: the sender's standing ([`protocol::daemon::hold`]), the order's sense ([`crate::order`]), and the
//! attempt's own state ([`crate::state`]). At most one attempt is wanted at a time; one more may still be on its way out, and the executor
//! of the next waits for it.

use std::time::{Duration, Instant};

use protocol::bus::Reply;
use protocol::command::{Describe, Run};
use protocol::daemon::hold::{Hold, Standing};
use protocol::event::{Refused, RefusedReason};
use protocol::sample::Samples;
use protocol::{AttemptId, Command, Envelope, Event};

use crate::order;
use crate::state::{Action, IllegalEvent, Input, State, Why};

/// Attempts that are over and still answered for.
pub const REMEMBERED: usize = 64;

/// The answer to what only a loader does.
const NO_LOADER: &str = "this is a runner, and loads are fired by loaders: start `loader` under a name of its own, and name that in `loaders`";

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Say an event.
    Say(Reply, Box<Event>),
    /// Answer PING with the clock.
    Pong(Reply),
    /// Answer DESCRIBE with facts.
    Describe(Reply, Describe),
    /// Start an executor for the attempt that the reply names.
    Start(Reply, Box<Run>),
    /// Tell an executor that its measured window begins or ends.
    Edge(AttemptId),
    /// Tell an executor to end.
    End(AttemptId, Why),
}

/// What an executor reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A step of its attempt.
    Step(Input),
    /// A batch of samples.
    Samples(Samples),
}

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    hold: Hold,
    /// Oldest first.
    attempts: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: AttemptId,
    state: State,
    /// Who is answered, and about which command.
    reply: Reply,
}

impl Table {
    /// Remembers an attempt that a dead self of this runner left behind.
    pub fn remember(&mut self, id: AttemptId, reply: Reply, last_word: Event) {
        let state = State::Done(vec![last_word]);
        self.attempts.push(Entry { id, state, reply });
        self.forget_old();
    }

    /// A command came.
    pub fn command(&mut self, command: Envelope<Command>, now: Instant) -> Vec<Effect> {
        let reply = Reply::to(&command);
        let mut effects = self.lease_over(now);
        match self.hold.hear(&command.controller, command.epoch, now) {
            Standing::Refused(refused) => {
                effects.extend(refusal(&command.body, reply, refused));
                return effects;
            }
            Standing::TakesOver => effects.extend(self.end_all(Why::Superseded)),
            Standing::Welcome => {}
        }
        effects.extend(match command.body {
            Command::Ping(_) => vec![Effect::Pong(reply)],
            Command::Describe(body) => vec![Effect::Describe(reply, body)],
            Command::Run(body) => self.run(reply, *body, now),
            Command::Stop(body) => self.known(reply, Input::Stop(body.reason), "STOP"),
            Command::Prepare(_) | Command::Start(_) => vec![refuse(reply, RefusedReason::Invalid, NO_LOADER)],
            Command::Edge(_) => self.edge(reply.attempt),
            Command::Renew(_) if reply.attempt.is_none() => Vec::new(),
            Command::Renew(_) => self.known(reply, Input::Renew, "RENEW"),
        });
        effects
    }

    /// An executor reported.
    ///
    /// # Errors
    /// [`IllegalEvent`] if it cannot be; the table stays as it was.
    pub fn report(&mut self, id: AttemptId, report: Report) -> Result<Vec<Effect>, IllegalEvent> {
        let Some(entry) = self.attempts.iter_mut().find(|entry| entry.id == id) else {
            return Err(IllegalEvent {
                state: "forgotten",
                input: "report",
            });
        };
        let reply = entry.reply.clone();
        let effects = match report {
            Report::Step(input) => entry.on(input, &reply)?,
            Report::Samples(samples) => vec![Effect::Say(
                Reply {
                    in_reply_to: None,
                    ..reply
                },
                Box::new(Event::Samples(samples)),
            )],
        };
        self.forget_old();
        Ok(effects)
    }

    /// Ends what a silent controller left running.
    pub fn lease_over(&mut self, now: Instant) -> Vec<Effect> {
        if self.hold.expire(now).is_some() {
            self.end_all(Why::LeaseOver)
        } else {
            Vec::new()
        }
    }

    /// When [`Self::lease_over`] has to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.hold.until()
    }

    /// Ends everything, because the runner ends.
    pub fn shut_down(&mut self) -> Vec<Effect> {
        self.end_all(Why::Shutdown)
    }

    /// Whether any attempt is alive.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.attempts.iter().any(|entry| entry.state.is_alive())
    }

    fn run(&mut self, reply: Reply, run: Run, now: Instant) -> Vec<Effect> {
        let Some(id) = reply.attempt else {
            return vec![refuse(reply, RefusedReason::Invalid, "a RUN has to name its attempt")];
        };
        let known = self.attempts.iter().any(|entry| entry.id == id);
        if !known {
            if let Some(other) = self.attempts.iter().find(|entry| entry.state.is_wanted()) {
                let why = format!("attempt {} is running: STOP it first", other.id);
                return vec![refuse(reply, RefusedReason::Busy, &why)];
            }
            let faults = order::faults(&run);
            if !faults.is_empty() {
                return vec![refuse(reply, RefusedReason::Invalid, &faults.join("; "))];
            }
            let lease = Duration::from_millis(run.deadlines.lease_ms);
            self.hold.take(&reply.controller, lease, now);
        }
        self.known(reply, Input::Run(Box::new(run)), "RUN")
    }

    /// Only what is READY has a window; for anything else an edge is an old story.
    fn edge(&self, attempt: Option<AttemptId>) -> Vec<Effect> {
        let is_meant = |entry: &&Entry| Some(entry.id) == attempt && matches!(entry.state, State::Ready(_));
        let meant = self.attempts.iter().find(is_meant);
        meant.map(|entry| Effect::Edge(entry.id)).into_iter().collect()
    }

    /// Passes a command on to the state of its attempt, which from now on answers this command.
    fn known(&mut self, reply: Reply, input: Input, word: &str) -> Vec<Effect> {
        let Some(id) = reply.attempt else {
            let why = format!("a {word} has to name its attempt");
            return vec![refuse(reply, RefusedReason::Invalid, &why)];
        };
        let at = self
            .attempts
            .iter()
            .position(|entry| entry.id == id)
            .unwrap_or_else(|| {
                let state = State::Idle;
                let reply = reply.clone();
                self.attempts.push(Entry { id, state, reply });
                self.attempts.len() - 1
            });
        let entry = &mut self.attempts[at];
        if !matches!(input, Input::Renew) {
            entry.reply = reply.clone();
        }
        let effects = entry.on(input, &reply);
        self.forget_old();
        // A command is legal in every state: see the property test.
        effects.unwrap_or_default()
    }

    fn end_all(&mut self, why: Why) -> Vec<Effect> {
        let wanted = self.attempts.iter_mut().filter(|entry| entry.state.is_wanted());
        let end = |entry: &mut Entry| {
            let reply = entry.reply.clone();
            entry.on(Input::End(why), &reply).unwrap_or_default()
        };
        wanted.flat_map(end).collect()
    }

    fn forget_old(&mut self) {
        let mut over = self.attempts.iter().filter(|entry| !entry.state.is_alive()).count();
        self.attempts.retain(|entry| {
            let forget = over > REMEMBERED && !entry.state.is_alive();
            over -= usize::from(forget);
            !forget
        });
    }
}

impl Entry {
    fn on(&mut self, input: Input, reply: &Reply) -> Result<Vec<Effect>, IllegalEvent> {
        let (state, actions) = self.state.clone().on(input)?;
        self.state = state;
        let effect = |action| match action {
            Action::Start(order) => Effect::Start(reply.clone(), order),
            Action::End(why) => Effect::End(self.id, why),
            Action::Say(event) => Effect::Say(reply.clone(), Box::new(event)),
        };
        Ok(actions.into_iter().map(effect).collect())
    }
}

/// The answer to a command of somebody who is not obeyed: PING is answered all the same, for it changes nothing, unless it comes from a ghost; RENEW never is.
fn refusal(command: &Command, reply: Reply, refused: Refused) -> Vec<Effect> {
    match command {
        Command::Ping(_) if refused.reason == RefusedReason::Held => vec![Effect::Pong(reply)],
        Command::Renew(_) | Command::Edge(_) => Vec::new(),
        _ => vec![Effect::Say(reply, Box::new(Event::Refused(refused)))],
    }
}

fn refuse(reply: Reply, reason: RefusedReason, why: &str) -> Effect {
    let why = why.to_owned();
    Effect::Say(reply, Box::new(Event::Refused(Refused { reason, why })))
}

#[cfg(test)]
mod tests;
