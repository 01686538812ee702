//! One thread of the engine: its share of the schedule, its event loop, its connections.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use super::Shared;
use super::connection::{Call, Connection, Context, Next, Phase, Step};
use super::table::Table;
use crate::load::clock::{Clock, Timer};
use crate::load::cpu::Schedstat;
use crate::load::error::{ErrorKind, LoadError};
use crate::load::schedule::{Arrival, Schedule};
use crate::load::tally::Tally;

/// How long a cancellation may go unseen.
const ATTENTION: Duration = Duration::from_millis(50);
/// How long a server that was asked to close the connection may take, ns.
const CLOSE_WAIT_NS: u64 = 500_000_000;
/// Requests started in one go when several are due, so that replies do not go unread for long.
const BURST: usize = 32;

/// Runs one thread from its preparation to its end; `None` if the run did not start.
pub fn run(thread: usize, shared: &Shared<'_>) -> Result<Option<Tally>, LoadError> {
    let prepared = Worker::prepare(thread, shared);
    let origin = shared.gate.arrive(prepared.is_ok());
    let worker = prepared?;
    origin
        .map(|origin| worker.run(Clock::from_origin(origin.monotonic_ns)))
        .transpose()
}

/// The state of a thread.
#[derive(Debug)]
pub struct Worker<'a> {
    pub(super) shared: &'a Shared<'a>,
    pub(super) thread: usize,
    pub(super) poll: Poll,
    pub(super) timer: Timer,
    pub(super) clock: Clock,
    pub(super) table: Table,
    pub(super) schedule: std::iter::StepBy<std::iter::Skip<Schedule>>,
    pub(super) next: Option<Arrival>,
    /// Requests that are due but have no connection, in order of time.
    pub(super) waiting: VecDeque<Arrival>,
    /// When requests under way are given up, in order of time; some may be done.
    pub(super) deadlines: VecDeque<Deadline>,
    /// When connections that the server should close are reset; some may be closed.
    pub(super) closing: VecDeque<(u64, Token)>,
    /// Connections with more to read.
    pub(super) again: Vec<Token>,
    pub(super) under_way: usize,
    pub(super) timeout_ns: u64,
    pub(super) spin_ns: u64,
    pub(super) buffer: Box<[u8]>,
    pub(super) tally: Tally,
}

#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    pub(super) at_ns: u64,
    pub(super) token: Token,
    /// Number of the request, as a kept-alive connection may carry another one by then.
    pub(super) number: u64,
}

impl Worker<'_> {
    fn run(mut self, clock: Clock) -> Result<Tally, LoadError> {
        self.clock = clock;
        let before = Schedstat::of_this_thread();
        clock.wait_for_start(self.shared.plan.spin);
        let mut events = Events::with_capacity(1024);
        while !self.is_over() {
            self.start_due(BURST);
            self.expire();
            self.shared.control.lane(self.thread).publish(self.tally.progress);
            if self.is_over() {
                break;
            }
            self.wait(&mut events).map_err(|source| LoadError::System {
                what: "wait for events",
                source,
            })?;
            for event in &events {
                self.on(event);
            }
            self.go_on();
            if self.shared.control.is_cancelled() {
                self.cancel();
            }
        }
        self.tally.usage = Schedstat::of_this_thread().since(before, clock.now_ns());
        self.shared.control.lane(self.thread).publish(self.tally.progress);
        Ok(self.tally)
    }

    fn is_over(&self) -> bool {
        self.next.is_none() && self.under_way == 0 && self.waiting.is_empty()
    }

    /// Starts requests whose time has come, a number of them at most.
    fn start_due(&mut self, most: usize) {
        for _ in 0..most {
            let Some(arrival) = self.next.filter(|arrival| arrival.at_ns <= self.clock.now_ns()) else {
                return;
            };
            self.next = self.schedule.next();
            // One that waits already goes first.
            if !self.waiting.is_empty() || !self.start(arrival) {
                self.waiting.push_back(arrival);
            }
        }
    }

    /// Starts requests that waited for a connection, as far as there are connections now.
    fn start_waiting(&mut self) {
        while let Some(arrival) = self.waiting.pop_front() {
            if !self.start(arrival) {
                return self.waiting.push_front(arrival);
            }
        }
    }

    /// Sends a request on an idle connection or a new one; false if there is neither.
    fn start(&mut self, arrival: Arrival) -> bool {
        let now_ns = self.clock.now_ns();
        if arrival.at_ns + self.timeout_ns <= now_ns {
            self.never_sent(arrival, now_ns, ErrorKind::NotSent);
        } else if let Some(token) = self.table.take_idle() {
            self.send(token, arrival);
        } else if self.table.has_room() {
            self.connect(arrival);
        } else {
            return false;
        }
        true
    }

    fn send(&mut self, token: Token, arrival: Arrival) {
        let call = self.begin(arrival, token);
        let Some(connection) = self.table.get(token) else {
            return;
        };
        let mut context = Context {
            clock: self.clock,
            request: self.shared.request,
            buffer: &mut self.buffer,
        };
        if let Step::Failed(now_ns, kind) = connection.send(call, &mut context) {
            self.fail(token, now_ns, kind);
        }
    }

    fn connect(&mut self, arrival: Arrival) {
        let (token, number) = self.table.reserve();
        let call = self.begin(arrival, token);
        let target = self.shared.target;
        let opened = Connection::open(target.address, number, target.expect, call).and_then(|mut connection| {
            if self.shared.plan.keeps_alive() {
                connection.stream.set_nodelay(true)?;
            }
            self.watch(&mut connection, token)?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => self.table.insert(connection),
            Err(error) => self.end(
                &call,
                0,
                number,
                Some(ErrorKind::of_connect(&error)),
                self.clock.now_ns(),
            ),
        }
    }

    /// Notes that a request is about to be sent.
    fn begin(&mut self, arrival: Arrival, token: Token) -> Call {
        let call = Call::new(arrival, self.clock.now_ns());
        self.under_way += 1;
        self.tally.sent(call.sent_ns);
        let at_ns = arrival.at_ns + self.timeout_ns;
        self.deadlines.push_back(Deadline {
            at_ns,
            token,
            number: arrival.number,
        });
        call
    }

    pub(super) fn watch(&self, connection: &mut Connection, token: Token) -> io::Result<()> {
        // Both from the start: with edges, watching for room to write costs one event a connection and no call.
        self.poll
            .registry()
            .register(&mut connection.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    fn on(&mut self, event: &Event) {
        let token = event.token();
        if let Some(connection) = self.table.get(token) {
            let mut context = Context {
                clock: self.clock,
                request: self.shared.request,
                buffer: &mut self.buffer,
            };
            let step = connection.on(event, &mut context);
            self.take(token, step);
            self.start_due(1);
        }
    }

    /// Gives connections another turn that did not come to an end in theirs.
    fn go_on(&mut self) {
        for token in std::mem::take(&mut self.again) {
            if let Some(connection) = self.table.get(token) {
                let mut context = Context {
                    clock: self.clock,
                    request: self.shared.request,
                    buffer: &mut self.buffer,
                };
                let step = connection.resume(&mut context);
                self.take(token, step);
            }
        }
    }

    /// Draws the consequences of an event.
    pub(super) fn take(&mut self, token: Token, step: Step) {
        match step {
            Step::Wait => return,
            Step::Again => return self.again.push(token),
            Step::Done(now_ns, next) => self.done(token, now_ns, next),
            Step::Failed(now_ns, kind) => self.fail(token, now_ns, kind),
            Step::Gone => {
                let was = self.table.remove(token).map(|connection| connection.phase);
                self.tally.closed_idle += u64::from(was == Some(Phase::Idle));
            }
        }
        self.start_waiting();
    }

    fn done(&mut self, token: Token, now_ns: u64, next: Next) {
        let Some(connection) = self.table.get(token) else {
            return;
        };
        let Some(call) = connection.call.take() else { return };
        let (status, number, verdict) = (connection.status(), connection.number, connection.verdict());
        match next {
            Next::Reuse if self.shared.plan.keeps_alive() => {
                connection.phase = Phase::Idle;
                self.table.release(token);
            }
            Next::Reuse | Next::AwaitClose => {
                connection.phase = Phase::Closing;
                self.closing.push_back((now_ns + CLOSE_WAIT_NS, token));
            }
            Next::Closed => drop(self.table.remove(token)),
        }
        self.end(&call, status, number, verdict, now_ns);
    }

    pub(super) fn fail(&mut self, token: Token, now_ns: u64, kind: ErrorKind) {
        let Some(mut connection) = self.table.remove(token) else {
            return;
        };
        if let Some(call) = connection.call.take() {
            self.end(&call, connection.status(), connection.number, Some(kind), now_ns);
        }
        connection.abort();
    }

    /// Records the end of a request that was sent.
    pub(super) fn end(&mut self, call: &Call, status: u16, connection: u32, error: Option<ErrorKind>, now_ns: u64) {
        self.under_way -= 1;
        self.tally
            .record(&call.end(now_ns, status, connection, self.lane(), error));
    }

    /// Waits for events up to the next moment at which something is to be done.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let spin_from = self.next.map(|arrival| arrival.at_ns.saturating_sub(self.spin_ns));
        let moments = [
            spin_from,
            self.deadlines.front().map(|deadline| deadline.at_ns),
            self.waiting.front().map(|arrival| arrival.at_ns + self.timeout_ns),
            self.closing.front().map(|(at_ns, _)| *at_ns),
        ];
        let wake_ns = moments.into_iter().flatten().min();
        let timeout = match wake_ns {
            _ if !self.again.is_empty() => Duration::ZERO,
            Some(wake_ns) if wake_ns <= self.clock.now_ns() => Duration::ZERO,
            Some(wake_ns) => {
                self.timer.arm(self.clock, wake_ns)?;
                ATTENTION
            }
            None => ATTENTION,
        };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    pub(super) fn lane(&self) -> u8 {
        u8::try_from(self.thread).unwrap_or(u8::MAX)
    }
}
