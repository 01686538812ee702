//! What a loader knows of its attempt and of controllers, and what is to be done about each message. Pure.
//!
//! ```text
//!           ┌──────────────── PREPARE of the next attempt ────────────────┐
//!  Free ──PREPARE──▶ Preparing ──ready──▶ Prepared ──START──▶ Firing ──▶ Over
//!                        │  │                │  │               │ │        ▲
//!                        │  └─────START──────┼──┼──────────────▶│ └─done───┤
//!                        └──broken───────────┴──┴──STOP, lease over────────┘
//! ```
//! It fires one load at a time. What is over is answered for until the next attempt.

use std::time::{Duration, Instant};

use protocol::bus::Reply;
use protocol::daemon::hold::{Hold, Standing};
use protocol::event::{Failed, Refused, RefusedReason, Stage};
use protocol::load::{Fired, Prepare, Prepared, Progress};
use protocol::summary::Teardown;
use protocol::{AttemptId, Command, Envelope, Event};

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Say an event.
    Say(Reply, Box<Event>),
    /// Answer PING with the clock.
    Pong(Reply),
    /// Answer DESCRIBE with facts.
    Describe(Reply),
    /// Make everything ready for a load.
    Prepare(Reply, Box<Prepare>),
    /// Let the load begin at this time of the loader's clock, ns.
    Start(u64),
    /// End the load at once.
    End,
}

/// What becomes of the load.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// It waits at the barrier.
    Ready,
    /// It is so far.
    Progress(Progress),
    /// It is over, and what it brought is at the broker.
    Done(Box<Fired>),
    /// It cannot be fired.
    Broken(String),
}

/// The desk.
#[derive(Debug, Default)]
pub struct Desk {
    hold: Hold,
    seat: Option<Seat>,
}

#[derive(Debug)]
struct Seat {
    id: AttemptId,
    state: State,
    /// Who is answered, and about which command.
    reply: Reply,
}

#[derive(Debug)]
enum State {
    Preparing,
    Prepared,
    Firing,
    /// The last word.
    Over(Box<Event>),
}

/// Why a load ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Stop,
    Lease,
    TakenOver,
    Shutdown,
}

impl Desk {
    /// A command came.
    pub fn command(&mut self, command: Envelope<Command>, now: Instant) -> Vec<Effect> {
        let reply = Reply::to(&command);
        let mut effects = self.lease_over(now);
        match self.hold.hear(&command.controller, command.epoch, now) {
            Standing::Refused(refused) => {
                effects.extend(refusal(&command.body, reply, refused));
                return effects;
            }
            Standing::TakesOver => effects.extend(self.end(Why::TakenOver)),
            Standing::Welcome => {}
        }
        effects.extend(match command.body {
            Command::Ping(_) => vec![Effect::Pong(reply)],
            Command::Describe(_) => vec![Effect::Describe(reply)],
            Command::Run(_) => vec![refuse(reply, RefusedReason::Invalid, NO_RUNNER)],
            Command::Prepare(prepare) => self.prepare(reply, prepare, now),
            Command::Start(start) => self.start(&reply, start.clock_ns),
            Command::Renew(_) => self.renew(&reply),
            Command::Stop(_) => self.stop(&reply),
            Command::Edge(_) => Vec::new(),
        });
        effects
    }

    /// The work reports; of an attempt that is over nothing is heard any more.
    pub fn report(&mut self, id: AttemptId, report: Report) -> Vec<Effect> {
        let Some(seat) = self.seat.as_mut().filter(|seat| seat.id == id && seat.is_alive()) else {
            return Vec::new();
        };
        let event = match report {
            Report::Ready => {
                if matches!(seat.state, State::Preparing) {
                    seat.state = State::Prepared;
                }
                Event::Prepared(Prepared {})
            }
            Report::Progress(progress) => Event::Progress(progress),
            Report::Done(fired) => seat.over(Event::Fired(fired)),
            Report::Broken(why) => seat.over(failed(Stage::Load, why)),
        };
        vec![seat.say(event)]
    }

    /// Ends what a silent controller left.
    pub fn lease_over(&mut self, now: Instant) -> Vec<Effect> {
        match self.hold.expire(now) {
            Some(_) => self.end(Why::Lease),
            None => Vec::new(),
        }
    }

    /// The attempt that is on.
    #[must_use]
    pub fn on(&self) -> Option<AttemptId> {
        let seat = self.seat.as_ref().filter(|seat| seat.is_alive());
        seat.map(|seat| seat.id)
    }

    /// When [`Self::lease_over`] has to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.hold.until()
    }

    /// Ends everything, because the loader ends.
    pub fn shut_down(&mut self) -> Vec<Effect> {
        self.end(Why::Shutdown)
    }

    fn prepare(&mut self, reply: Reply, prepare: Box<Prepare>, now: Instant) -> Vec<Effect> {
        let Some(id) = reply.attempt else {
            return vec![refuse(
                reply,
                RefusedReason::Invalid,
                "a PREPARE has to name its attempt",
            )];
        };
        if let Some(seat) = &mut self.seat {
            if seat.id == id {
                seat.reply = reply;
                return seat.say_again();
            }
            if seat.is_alive() {
                let why = format!("attempt {} is being fired: STOP it first", seat.id);
                return vec![refuse(reply, RefusedReason::Busy, &why)];
            }
        }
        if prepare.part.index >= prepare.part.of || prepare.lease_ms == 0 || prepare.lease_ms > LONGEST_LEASE_MS {
            let why = format!(
                "part {} of {} with a lease of {} ms makes no sense",
                prepare.part.index, prepare.part.of, prepare.lease_ms
            );
            return vec![refuse(reply, RefusedReason::Invalid, &why)];
        }
        self.hold
            .take(&reply.controller, Duration::from_millis(prepare.lease_ms), now);
        self.seat = Some(Seat {
            id,
            state: State::Preparing,
            reply: reply.clone(),
        });
        vec![Effect::Prepare(reply, prepare)]
    }

    fn start(&mut self, reply: &Reply, clock_ns: u64) -> Vec<Effect> {
        let Some(seat) = self.known(reply) else {
            return unknown(reply);
        };
        match &seat.state {
            State::Over(_) => seat.say_again(),
            State::Firing => Vec::new(),
            State::Preparing | State::Prepared => {
                seat.state = State::Firing;
                vec![Effect::Start(clock_ns)]
            }
        }
    }

    fn renew(&mut self, reply: &Reply) -> Vec<Effect> {
        match self.known(reply) {
            Some(_) => Vec::new(),
            None => unknown(reply),
        }
    }

    fn stop(&mut self, reply: &Reply) -> Vec<Effect> {
        let Some(seat) = self.known(reply) else {
            return unknown(reply);
        };
        seat.reply = reply.clone();
        if seat.is_alive() {
            self.end(Why::Stop)
        } else {
            seat.say_again()
        }
    }

    fn known(&mut self, reply: &Reply) -> Option<&mut Seat> {
        self.seat.as_mut().filter(|seat| Some(seat.id) == reply.attempt)
    }

    fn end(&mut self, why: Why) -> Vec<Effect> {
        let Some(seat) = self.seat.as_mut().filter(|seat| seat.is_alive()) else {
            return Vec::new();
        };
        let (stage, text) = match why {
            Why::Stop => (Stage::Stopped, "the controller ended the load"),
            Why::Lease => (Stage::Lease, "the controller was silent for longer than its lease"),
            Why::TakenOver => (Stage::Stopped, "a newer life of the controller took over"),
            Why::Shutdown => (Stage::Stopped, "the loader was told to end"),
        };
        let last = seat.over(failed(stage, text.to_owned()));
        vec![Effect::End, seat.say(last)]
    }
}

/// The answer to what only a runner does.
const NO_RUNNER: &str = "this is a loader, and services are deployed by runners: start `runner` on the target host under a name of its own, and name that as `host`";

/// A lease that is longer is a slip of the pen: a day.
const LONGEST_LEASE_MS: u64 = 24 * 3600 * 1000;

impl Seat {
    const fn is_alive(&self) -> bool {
        !matches!(self.state, State::Over(_))
    }

    /// Ends it with its last word.
    fn over(&mut self, last: Event) -> Event {
        self.state = State::Over(Box::new(last.clone()));
        last
    }

    fn say(&self, event: Event) -> Effect {
        Effect::Say(self.reply.clone(), Box::new(event))
    }

    /// What was said last, to somebody who asks again.
    fn say_again(&self) -> Vec<Effect> {
        match &self.state {
            State::Preparing => Vec::new(),
            State::Prepared | State::Firing => vec![self.say(Event::Prepared(Prepared {}))],
            State::Over(last) => vec![self.say((**last).clone())],
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

fn unknown(reply: &Reply) -> Vec<Effect> {
    if reply.attempt.is_none() {
        return Vec::new();
    }
    let why = "the loader does not know the attempt: it was started anew since".to_owned();
    vec![Effect::Say(reply.clone(), Box::new(failed(Stage::Unknown, why)))]
}

/// The answer to a command of somebody who is not obeyed: PING is answered all the same, for it changes nothing, unless it comes from a ghost; RENEW never is.
fn refusal(command: &Command, reply: Reply, refused: Refused) -> Vec<Effect> {
    match command {
        Command::Ping(_) if refused.reason == RefusedReason::Held => vec![Effect::Pong(reply)],
        Command::Renew(_) => Vec::new(),
        _ => vec![Effect::Say(reply, Box::new(Event::Refused(refused)))],
    }
}

fn refuse(reply: Reply, reason: RefusedReason, why: &str) -> Effect {
    let why = why.to_owned();
    Effect::Say(reply, Box::new(Event::Refused(Refused { reason, why })))
}

#[cfg(test)]
mod tests;
