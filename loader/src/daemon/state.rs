//! The state of a loader: its attempt and its lease, and the actions that follow from each message. Pure.
//!
//! ```text
//!           ┌──────────────── PREPARE of the next attempt ────────────────┐
//!  Free ──PREPARE──▶ Preparing ──ready──▶ Prepared ──START──▶ Running ──▶ Done
//!                        │  │                │  │               │ │        ▲
//!                        │  └─────START──────┼──┼──────────────▶│ └─done───┤
//!                        └──failed───────────┴──┴──STOP, lease expired─────┘
//! ```
//! A loader runs one load at a time. The last event of an attempt is kept until the next one, to answer repeated commands.

use std::time::{Duration, Instant};

use protocol::bus::Reply;
use protocol::daemon::lease::{Access, Lease};
use protocol::event::{Failed, Refused, RefusedReason, Stage};
use protocol::load::{Fired, Prepare, Prepared, Progress};
use protocol::summary::Teardown;
use protocol::{AttemptId, Command, Envelope, Event};

/// What the daemon has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send an event.
    Send(Reply, Box<Event>),
    /// Answer PING with the clock.
    Pong(Reply),
    /// Answer DESCRIBE with the machine's facts.
    Describe(Reply),
    /// Prepare a load.
    Prepare(Reply, Box<Prepare>),
    /// Start the load at this time of the loader's clock, ns.
    Start(u64),
    /// Cancel the load.
    Cancel,
}

/// A report of the running job.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The load is prepared and waits for its start time.
    Ready,
    /// Progress of the load.
    Progress(Progress),
    /// The load has finished, and its chunks have been delivered to the broker.
    Done(Box<Fired>),
    /// The load failed.
    Failed(String),
}

/// The state of a loader.
#[derive(Debug, Default)]
pub struct LoaderState {
    lease: Lease,
    attempt: Option<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    id: AttemptId,
    phase: Phase,
    /// Addresses its events.
    reply: Reply,
}

#[derive(Debug)]
enum Phase {
    Preparing,
    Prepared,
    Running,
    /// With the last event.
    Done(Box<Event>),
}

/// Why a load is ended prematurely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndReason {
    Stop,
    LeaseExpired,
    Superseded,
    Shutdown,
}

impl LoaderState {
    /// Handles a command.
    pub fn on_command(&mut self, command: Envelope<Command>, now: Instant) -> Vec<Action> {
        let reply = Reply::to(&command);
        let mut actions = self.expire_lease(now);
        match self.lease.authorize(&command.controller, command.epoch, now) {
            Access::Refused(refused) => {
                actions.extend(refusal(&command.body, reply, refused));
                return actions;
            }
            Access::TakenOver => actions.extend(self.end(EndReason::Superseded)),
            Access::Granted => {}
        }
        actions.extend(match command.body {
            Command::Ping(_) => vec![Action::Pong(reply)],
            Command::Describe(_) => vec![Action::Describe(reply)],
            Command::Run(_) => vec![refuse(reply, RefusedReason::Invalid, NOT_A_RUNNER)],
            Command::Prepare(prepare) => self.prepare(reply, prepare, now),
            Command::Start(start) => self.start(&reply, start.clock_ns),
            Command::Renew(_) if self.known(&reply).is_some() => Vec::new(),
            Command::Renew(_) => unknown(&reply),
            Command::Stop(_) => self.stop(&reply),
            Command::Edge(_) => Vec::new(),
        });
        actions
    }

    /// Handles a report of the job; reports of attempts that are done are ignored.
    pub fn on_report(&mut self, id: AttemptId, report: Report) -> Vec<Action> {
        let Some(attempt) = self.attempt.as_mut().filter(|a| a.id == id && a.is_active()) else {
            return Vec::new();
        };
        let event = match report {
            Report::Ready => {
                if matches!(attempt.phase, Phase::Preparing) {
                    attempt.phase = Phase::Prepared;
                }
                Event::Prepared(Prepared {})
            }
            Report::Progress(progress) => Event::Progress(progress),
            Report::Done(fired) => attempt.finish(Event::Fired(fired)),
            Report::Failed(why) => attempt.finish(failed(Stage::Load, why)),
        };
        vec![attempt.send(event)]
    }

    /// Ends the load if the controller's lease has expired.
    pub fn expire_lease(&mut self, now: Instant) -> Vec<Action> {
        match self.lease.expire(now) {
            Some(_) => self.end(EndReason::LeaseExpired),
            None => Vec::new(),
        }
    }

    /// The active attempt.
    #[must_use]
    pub fn active(&self) -> Option<AttemptId> {
        let attempt = self.attempt.as_ref().filter(|attempt| attempt.is_active());
        attempt.map(|attempt| attempt.id)
    }

    /// When [`Self::expire_lease`] has to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.lease.expires_at()
    }

    /// Ends the load because the loader shuts down.
    pub fn shut_down(&mut self) -> Vec<Action> {
        self.end(EndReason::Shutdown)
    }

    fn prepare(&mut self, reply: Reply, prepare: Box<Prepare>, now: Instant) -> Vec<Action> {
        let Some(id) = reply.attempt else {
            return vec![refuse(reply, RefusedReason::Invalid, "a PREPARE must name its attempt")];
        };
        if let Some(attempt) = &mut self.attempt {
            if attempt.id == id {
                attempt.reply = reply;
                return attempt.repeat_last();
            }
            if attempt.is_active() {
                let why = format!("attempt {} is running: send STOP first", attempt.id);
                return vec![refuse(reply, RefusedReason::Busy, &why)];
            }
        }
        if prepare.part.index >= prepare.part.of || prepare.lease_ms == 0 || prepare.lease_ms > MAX_LEASE_MS {
            let why = format!(
                "invalid PREPARE: part {} of {} with a lease of {} ms",
                prepare.part.index, prepare.part.of, prepare.lease_ms
            );
            return vec![refuse(reply, RefusedReason::Invalid, &why)];
        }
        self.lease
            .grant(&reply.controller, Duration::from_millis(prepare.lease_ms), now);
        self.attempt = Some(Attempt {
            id,
            phase: Phase::Preparing,
            reply: reply.clone(),
        });
        vec![Action::Prepare(reply, prepare)]
    }

    fn start(&mut self, reply: &Reply, clock_ns: u64) -> Vec<Action> {
        let Some(attempt) = self.known(reply) else {
            return unknown(reply);
        };
        match &attempt.phase {
            Phase::Done(_) => attempt.repeat_last(),
            Phase::Running => Vec::new(),
            Phase::Preparing | Phase::Prepared => {
                attempt.phase = Phase::Running;
                vec![Action::Start(clock_ns)]
            }
        }
    }

    fn stop(&mut self, reply: &Reply) -> Vec<Action> {
        let Some(attempt) = self.known(reply) else {
            return unknown(reply);
        };
        attempt.reply = reply.clone();
        if attempt.is_active() {
            self.end(EndReason::Stop)
        } else {
            attempt.repeat_last()
        }
    }

    fn known(&mut self, reply: &Reply) -> Option<&mut Attempt> {
        self.attempt.as_mut().filter(|a| Some(a.id) == reply.attempt)
    }

    fn end(&mut self, reason: EndReason) -> Vec<Action> {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.is_active()) else {
            return Vec::new();
        };
        let (stage, text) = match reason {
            EndReason::Stop => (Stage::Stopped, "the controller stopped the load"),
            EndReason::LeaseExpired => (Stage::Lease, "the controller's lease expired"),
            EndReason::Superseded => (Stage::Stopped, "a restarted controller took over"),
            EndReason::Shutdown => (Stage::Stopped, "the loader was shut down"),
        };
        let last = attempt.finish(failed(stage, text.to_owned()));
        vec![Action::Cancel, attempt.send(last)]
    }
}

/// The refusal of RUN.
const NOT_A_RUNNER: &str = "this is a loader and deploys no services: start `runner` on the target host under a name of its own, and use that name as `host`";

/// Maximum lease, ms: a day. Longer ones are taken for mistakes.
const MAX_LEASE_MS: u64 = 24 * 3600 * 1000;

impl Attempt {
    const fn is_active(&self) -> bool {
        !matches!(self.phase, Phase::Done(_))
    }

    /// Ends it with its last event.
    fn finish(&mut self, last: Event) -> Event {
        self.phase = Phase::Done(Box::new(last.clone()));
        last
    }

    fn send(&self, event: Event) -> Action {
        Action::Send(self.reply.clone(), Box::new(event))
    }

    /// Repeats the last event as the answer to a repeated command.
    fn repeat_last(&self) -> Vec<Action> {
        match &self.phase {
            Phase::Preparing => Vec::new(),
            Phase::Prepared | Phase::Running => vec![self.send(Event::Prepared(Prepared {}))],
            Phase::Done(last) => vec![self.send((**last).clone())],
        }
    }
}

fn failed(stage: Stage, why: String) -> Event {
    Event::Failed(Failed {
        stage,
        why,
        logs: Vec::new(),
        teardown: Teardown::default(),
    })
}

fn unknown(reply: &Reply) -> Vec<Action> {
    if reply.attempt.is_none() {
        return Vec::new();
    }
    let why = "the loader does not know the attempt: it has been restarted".to_owned();
    vec![Action::Send(reply.clone(), Box::new(failed(Stage::Unknown, why)))]
}

/// The answer to a command that is refused by the lease. PING of another controller is answered nevertheless, since it changes nothing; RENEW is never
/// answered.
fn refusal(command: &Command, reply: Reply, refused: Refused) -> Vec<Action> {
    match command {
        Command::Ping(_) if refused.reason == RefusedReason::Held => vec![Action::Pong(reply)],
        Command::Renew(_) => Vec::new(),
        _ => vec![Action::Send(reply, Box::new(Event::Refused(refused)))],
    }
}

fn refuse(reply: Reply, reason: RefusedReason, why: &str) -> Action {
    let why = why.to_owned();
    Action::Send(reply, Box::new(Event::Refused(Refused { reason, why })))
}

#[cfg(test)]
mod tests;
