//! All attempts and controllers that the runner knows, and what it does about each message. Pure: no clock, no I/O.
//!
//! A command passes three checks: the sender's lease and epoch ([`protocol::daemon::lease`]), the validity of a RUN ([`crate::validate`]), and the state
//! of the attempt ([`crate::state`]). At most one attempt runs at a time. Another may still be in its teardown; the executor of the next one waits for it.

use std::time::{Duration, Instant};

use protocol::bus::Reply;
use protocol::command::Run;
use protocol::daemon::lease::{Access, Lease};
use protocol::event::{Refused, RefusedReason};
use protocol::{AttemptId, Command, Envelope, Event};

use crate::state::{self, Action, EndReason, IllegalEvent, Input, Phase, State};
use crate::validate;

/// How many attempts that have ended are kept, to answer repeated commands.
pub const REMEMBERED: usize = 64;

/// The answer to commands for loaders.
const NOT_A_LOADER: &str =
    "this is a runner and generates no load: start `loader` under a name of its own, and use that name in `loaders`";

/// An action, with the controller and the attempt that it is for.
pub type Effect = (Reply, Action);

/// The table of attempts.
#[derive(Debug, Default)]
pub struct Table {
    lease: Lease,
    /// Oldest first.
    attempts: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: AttemptId,
    state: State,
    /// The controller and the command that are answered.
    reply: Reply,
}

impl Table {
    /// Adds an attempt of a crashed previous instance of this runner, with its last event.
    pub fn remember(&mut self, id: AttemptId, reply: Reply, last: Event) {
        let state = State::done(last);
        self.attempts.push(Entry { id, state, reply });
        self.forget_old();
    }

    /// Handles a command.
    pub fn on_command(&mut self, command: Envelope<Command>, now: Instant) -> Vec<Effect> {
        let reply = Reply::to(&command);
        let mut effects = self.expire_lease(now);
        match self.lease.authorize(&command.controller, command.epoch, now) {
            Access::Refused(refused) => {
                effects.extend(refusal(&command.body, reply, refused));
                return effects;
            }
            Access::TakenOver => effects.extend(self.end_all(EndReason::Superseded)),
            Access::Granted => {}
        }
        effects.extend(match command.body {
            Command::Ping(_) => vec![(reply, Action::Pong)],
            Command::Describe(body) => vec![(reply, Action::Describe(body))],
            Command::Run(body) => self.run(reply, body, now),
            Command::Stop(body) => self.input(reply, Input::Stop(body.reason), "STOP"),
            Command::Prepare(_) | Command::Start(_) => vec![refuse(reply, RefusedReason::Invalid, NOT_A_LOADER)],
            Command::Edge(_) => self.edge(reply),
            Command::Renew(_) if reply.attempt.is_none() => Vec::new(),
            Command::Renew(_) => self.input(reply, Input::Renew, "RENEW"),
        });
        effects
    }

    /// Handles an event that an attempt's task reports.
    ///
    /// # Errors
    /// [`IllegalEvent`] if it is impossible; the table does not change.
    pub fn on_event(&mut self, id: AttemptId, event: Event) -> Result<Vec<Effect>, IllegalEvent> {
        let Some(entry) = self.attempts.iter_mut().find(|entry| entry.id == id) else {
            let (phase, event) = (None, event.as_str());
            return Err(IllegalEvent { phase, event });
        };
        let reply = entry.reply.clone();
        let effects = entry.on(Input::Event(event), &reply)?;
        self.forget_old();
        Ok(effects)
    }

    /// Ends all attempts if the controller's lease has expired.
    pub fn expire_lease(&mut self, now: Instant) -> Vec<Effect> {
        if self.lease.expire(now).is_some() {
            self.end_all(EndReason::LeaseExpired)
        } else {
            Vec::new()
        }
    }

    /// When [`Self::expire_lease`] has to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.lease.expires_at()
    }

    /// Ends all attempts because the runner shuts down.
    pub fn shut_down(&mut self) -> Vec<Effect> {
        self.end_all(EndReason::Shutdown)
    }

    /// Whether any attempt is alive.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.attempts.iter().any(Entry::is_alive)
    }

    fn run(&mut self, reply: Reply, run: Box<Run>, now: Instant) -> Vec<Effect> {
        let id = match reply.attempt {
            Some(id) if !self.attempts.iter().any(|entry| entry.id == id) => id,
            _ => return self.input(reply, Input::Run, "RUN"),
        };
        if let Some(other) = self.attempts.iter().find(|entry| entry.state.is_wanted()) {
            let why = format!("attempt {} is running: send STOP first", other.id);
            return vec![refuse(reply, RefusedReason::Busy, &why)];
        }
        let problems = validate::problems(&run);
        if !problems.is_empty() {
            return vec![refuse(reply, RefusedReason::Invalid, &problems.join("; "))];
        }
        let lease = Duration::from_millis(run.deadlines.lease_ms);
        self.lease.grant(&reply.controller, lease, now);
        self.attempts.push(Entry {
            id,
            state: State::default(),
            reply: reply.clone(),
        });
        vec![(reply, Action::Start(run))]
    }

    /// Only an attempt that is READY has a window; any other edge is outdated.
    fn edge(&self, reply: Reply) -> Vec<Effect> {
        let is_measured = |entry: &Entry| Some(entry.id) == reply.attempt && entry.state.phase() == Phase::Ready;
        if self.attempts.iter().any(is_measured) {
            vec![(reply, Action::Edge)]
        } else {
            Vec::new()
        }
    }

    /// Passes a command to the state machine of its attempt, whose events answer this command from now on. An unknown attempt has failed.
    fn input(&mut self, reply: Reply, input: Input, word: &str) -> Vec<Effect> {
        let Some(id) = reply.attempt else {
            let why = format!("a {word} must name its attempt");
            return vec![refuse(reply, RefusedReason::Invalid, &why)];
        };
        let known = self.attempts.iter().position(|entry| entry.id == id);
        let at = known.unwrap_or_else(|| {
            let last = state::unknown("this runner never received its RUN, or was restarted since");
            let (state, reply) = (State::done(last), reply.clone());
            self.attempts.push(Entry { id, state, reply });
            self.attempts.len() - 1
        });
        let entry = &mut self.attempts[at];
        if !matches!(input, Input::Renew) {
            entry.reply = reply.clone();
        }
        let effects = entry.on(input, &reply);
        self.forget_old();
        // Commands are legal in every state; see the property test.
        effects.unwrap_or_default()
    }

    fn end_all(&mut self, reason: EndReason) -> Vec<Effect> {
        let wanted = self.attempts.iter_mut().filter(|entry| entry.state.is_wanted());
        let end = |entry: &mut Entry| {
            let reply = entry.reply.clone();
            entry.on(Input::End(reason), &reply).unwrap_or_default()
        };
        wanted.flat_map(end).collect()
    }

    fn forget_old(&mut self) {
        let mut ended = self.attempts.iter().filter(|entry| !entry.is_alive()).count();
        self.attempts.retain(|entry| {
            let forget = ended > REMEMBERED && !entry.is_alive();
            ended -= usize::from(forget);
            !forget
        });
    }
}

impl Entry {
    fn is_alive(&self) -> bool {
        self.state.phase() != Phase::Done
    }

    fn on(&mut self, input: Input, reply: &Reply) -> Result<Vec<Effect>, IllegalEvent> {
        let (state, actions) = self.state.clone().on(input)?;
        self.state = state;
        Ok(actions.into_iter().map(|action| (reply.clone(), action)).collect())
    }
}

/// The answer to a command that is refused. PING is answered all the same, since it changes nothing, unless its epoch is stale; RENEW and EDGE are
/// never answered.
fn refusal(command: &Command, reply: Reply, refused: Refused) -> Vec<Effect> {
    match command {
        Command::Ping(_) if refused.reason == RefusedReason::Held => vec![(reply, Action::Pong)],
        Command::Renew(_) | Command::Edge(_) => Vec::new(),
        _ => vec![(reply, Action::Publish(Event::Refused(refused)))],
    }
}

fn refuse(reply: Reply, reason: RefusedReason, why: &str) -> Effect {
    let why = why.to_owned();
    (reply, Action::Publish(Event::Refused(Refused { reason, why })))
}

#[cfg(test)]
mod tests;
