//! The connections of one thread and the requests on them.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};

use super::connection::{Connection, Context, Due, Next, Phase, Step, UnderWay};
use super::table::Table;
use super::threads::Setup;
use crate::clock::{Clock, Timer};
use crate::error::{ErrorKind, LoadError};
use crate::log::LogWriter;
use crate::request::Request;
use crate::tally::Tally;

const TIMER: Token = Token(usize::MAX);
/// Size of the buffer that replies are read into, one a thread.
const BUFFER: usize = 64 * 1024;
/// How long a server that was asked to close the connection may take, ns.
const CLOSE_WAIT_NS: u64 = 500_000_000;
/// Longest wait for a connection of a pool that is opened beforehand.
const POOL_WAIT: Duration = Duration::from_secs(5);

/// The connections of one thread and the requests on them.
#[derive(Debug)]
pub struct Wire<'a> {
    pub(super) thread: u8,
    pub(super) poll: Poll,
    pub(super) timer: Timer,
    pub(super) clock: Clock,
    pub(super) table: Table<'a>,
    /// When requests under way are given up, in order of their start; some may be done.
    pub(super) deadlines: VecDeque<Deadline>,
    /// When connections that the server should close are reset; some may be closed.
    pub(super) closing: VecDeque<(u64, Token)>,
    /// Connections with more to read.
    pub(super) again: VecDeque<Token>,
    /// Requests that ended and that the pace has not heard of yet.
    pub(super) ended: VecDeque<Ended>,
    pub(super) under_way: u32,
    pub(super) tally: Tally,
    pub(super) log: LogWriter,
    serial: u64,
    timeout_ns: u64,
    pub(super) keeps_alive: bool,
    buffer: Box<[u8]>,
}

/// When a request is given up.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    pub(super) at_ns: u64,
    pub(super) token: Token,
    /// Number of the request, as a kept-alive connection may carry another one by then.
    pub(super) serial: u64,
}

/// What a pace is told of a request that ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Whose it was.
    pub user: u32,
    /// Its connection, if it is free for another request.
    pub idle: Option<Token>,
    /// Why it failed.
    pub error: Option<ErrorKind>,
    /// When.
    pub at_ns: u64,
}

impl<'a> Wire<'a> {
    /// Opens an event loop.
    pub(super) fn open(thread: usize, setup: &Setup, log: LogWriter) -> Result<Self, LoadError> {
        let (poll, timer) = poll_and_timer().map_err(|source| LoadError::System {
            what: "open an event loop",
            source,
        })?;
        let most = share(setup.most_connections, thread, setup.threads());
        Ok(Self {
            thread: u8::try_from(thread).unwrap_or(u8::MAX),
            poll,
            timer,
            clock: Clock::from_origin(0),
            table: Table::new(most.max(1)),
            deadlines: VecDeque::with_capacity(1024),
            closing: VecDeque::with_capacity(1024),
            again: VecDeque::with_capacity(64),
            ended: VecDeque::with_capacity(64),
            under_way: 0,
            tally: Tally::new(setup.window.clone()),
            log,
            serial: 0,
            timeout_ns: nanos(setup.timeout),
            keeps_alive: setup.keeps_alive,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        })
    }

    /// Opens connections before the run and marks them as idle. One that fails is left to the first request that needs it.
    pub fn fill_pool(&mut self, address: SocketAddr, connections: usize) {
        let timeout = Duration::from_nanos(self.timeout_ns).min(POOL_WAIT);
        for _ in 0..connections {
            let Ok(stream) = StdStream::connect_timeout(&address, timeout) else {
                return;
            };
            if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
                return;
            }
            let (token, number) = self.table.reserve();
            let mut connection = Connection::idle(TcpStream::from_std(stream), number);
            if self.watch(&mut connection, token).is_ok() {
                self.table.insert(connection);
                self.table.release(token);
            }
        }
    }

    /// Notes that a request is about to be sent.
    pub(super) fn begin(&mut self, due: Due<'a>, token: Token) -> UnderWay<'a> {
        self.serial += 1;
        let request = UnderWay::new(due, self.serial, self.clock.now_ns());
        self.under_way += 1;
        self.tally.sent(request.sent_ns);
        self.deadlines.push_back(Deadline {
            at_ns: due.at_ns.saturating_add(self.timeout_ns),
            token,
            serial: self.serial,
        });
        request
    }

    pub(super) fn watch(&self, connection: &mut Connection<'a>, token: Token) -> io::Result<()> {
        // Both from the start: with edges, watching for room to write costs one event a connection and no call.
        self.poll
            .registry()
            .register(&mut connection.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Does what an event allows.
    pub(super) fn on(&mut self, event: &Event) {
        let token = event.token();
        if let Some(connection) = self.table.get(token) {
            let mut context = Context {
                clock: self.clock,
                buffer: &mut self.buffer,
            };
            let step = connection.on(event, &mut context);
            self.take(token, step);
        }
    }

    /// Gives connections another turn that did not come to an end in theirs.
    pub(super) fn go_on(&mut self) {
        // Whoever still has more goes to the end, and waits for the next round.
        for _ in 0..self.again.len() {
            let Some(token) = self.again.pop_front() else { return };
            if let Some(connection) = self.table.get(token) {
                let mut context = Context {
                    clock: self.clock,
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
            Step::Wait => {}
            Step::Again => self.again.push_back(token),
            Step::Done(now_ns, next) => self.done(token, now_ns, next),
            Step::Failed(now_ns, kind) => self.fail(token, now_ns, kind),
            Step::Gone => {
                let was = self.table.remove(token).map(|connection| connection.phase);
                self.tally.closed_idle += u64::from(was == Some(Phase::Idle));
            }
        }
    }

    fn done(&mut self, token: Token, now_ns: u64, next: Next) {
        let Some(connection) = self.table.get(token) else {
            return;
        };
        let Some(request) = connection.request.take() else {
            return;
        };
        let (status, number, verdict) = (connection.status(), connection.number, connection.verdict());
        let mut idle = None;
        match next {
            Next::Reuse if self.keeps_alive => {
                connection.phase = Phase::Idle;
                idle = Some(token);
            }
            Next::Reuse | Next::AwaitClose => {
                connection.phase = Phase::Closing;
                self.closing.push_back((now_ns + CLOSE_WAIT_NS, token));
            }
            Next::Closed => drop(self.table.remove(token)),
        }
        self.end(&request, status, number, verdict, now_ns, idle);
    }

    pub(super) fn fail(&mut self, token: Token, now_ns: u64, kind: ErrorKind) {
        let Some(mut connection) = self.table.remove(token) else {
            return;
        };
        if let Some(request) = connection.request.take() {
            self.end(
                &request,
                connection.status(),
                connection.number,
                Some(kind),
                now_ns,
                None,
            );
        }
        connection.abort();
    }

    /// Records the end of a request that was sent.
    pub(super) fn end(
        &mut self,
        request: &UnderWay<'a>,
        status: u16,
        connection: u32,
        error: Option<ErrorKind>,
        now_ns: u64,
        idle: Option<Token>,
    ) {
        let mut record = request.end(now_ns, status, connection, error);
        record.in_flight = self.under_way;
        self.under_way -= 1;
        self.record(record);
        self.ended.push_back(Ended {
            user: request.due.user,
            idle,
            error,
            at_ns: now_ns,
        });
    }
}

impl Wire<'_> {
    pub(super) fn record(&mut self, mut request: Request) {
        request.thread = self.thread;
        self.tally.record(&request);
        self.log.push(&request);
    }
}

fn poll_and_timer() -> io::Result<(Poll, Timer)> {
    let (poll, timer) = (Poll::new()?, Timer::new()?);
    poll.registry()
        .register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
    Ok((poll, timer))
}

/// The part of a whole that falls to one of several threads.
pub fn share(whole: u64, thread: usize, threads: usize) -> usize {
    let whole = usize::try_from(whole).unwrap_or(usize::MAX);
    whole / threads + usize::from(thread < whole % threads)
}

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
