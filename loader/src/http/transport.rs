//! The connections of one thread and their requests.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};

use super::connection::{Connection, ConnectionTable, Context, Next, Outstanding, Phase, Step};
use super::pacer::{Due, Ended, Transport};
use super::stream::Stream;
use super::threads::{Setup, share};
use crate::call::CallBytes;
use crate::clock::{Clock, Timer, nanos};
use crate::error::{ErrorKind, LoadError};
use crate::log::LogWriter;
use crate::request::Request;
use crate::tally::Tally;
use crate::tls::{Tls, TlsClient, TlsStream};

const TIMER: Token = Token(usize::MAX);
/// Size of the read buffer of a thread.
const BUFFER: usize = 64 * 1024;
/// How long a server may take to close a connection when asked to, ns.
const CLOSE_TIMEOUT_NS: u64 = 500_000_000;
/// Time-out of connections that are opened in advance.
const POOL_TIMEOUT: Duration = Duration::from_secs(5);

/// The connections of one thread and their requests.
#[derive(Debug)]
pub struct HttpTransport<'a> {
    pub(super) thread: u8,
    pub(super) poll: Poll,
    pub(super) timer: Timer,
    pub(super) clock: Clock,
    table: ConnectionTable<'a>,
    /// Time-outs of requests, in send order; may include completed requests.
    deadlines: VecDeque<Deadline>,
    /// When connections that the server should close are reset; may include closed connections.
    closing: VecDeque<(u64, Token)>,
    /// Connections with more data to read.
    pub(super) again: VecDeque<Token>,
    /// Ended requests that the pacer has not been told about yet.
    pub(super) ended: VecDeque<Ended>,
    pub(super) outstanding: u32,
    pub(super) tally: Tally,
    pub(super) log: LogWriter,
    serial: u64,
    timeout_ns: u64,
    keeps_alive: bool,
    tls: Option<TlsClient>,
    buffer: Box<[u8]>,
    /// A request made from a template before it is due, and its number.
    prepared: Vec<u8>,
    prepared_number: Option<u64>,
}

/// The time-out of a request.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    at_ns: u64,
    token: Token,
    /// Number of the request, since a persistent connection may carry another one by then.
    serial: u64,
}

impl<'a> HttpTransport<'a> {
    /// Opens an event loop.
    pub(super) fn open(thread: usize, setup: &Setup, log: LogWriter) -> Result<Self, LoadError> {
        let (poll, timer) = poll_and_timer().map_err(|source| LoadError::System {
            what: "open an event loop",
            source,
        })?;
        let max = share(setup.max_connections, thread, setup.threads());
        Ok(Self {
            thread: u8::try_from(thread).unwrap_or(u8::MAX),
            poll,
            timer,
            clock: Clock::from_origin(0),
            table: ConnectionTable::new(max.max(1)),
            deadlines: VecDeque::with_capacity(1024),
            closing: VecDeque::with_capacity(1024),
            again: VecDeque::with_capacity(64),
            ended: VecDeque::with_capacity(64),
            outstanding: 0,
            tally: Tally::new(setup.window.clone()),
            log,
            serial: 0,
            timeout_ns: nanos(setup.timeout),
            keeps_alive: setup.keeps_alive,
            tls: setup.tls.as_ref().map(Tls::client).transpose()?,
            prepared: Vec::new(),
            prepared_number: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        })
    }

    /// Opens idle connections before the run, including TLS handshakes. Stops at the first failure: the first request that needs one opens a connection itself.
    pub fn fill_pool(&mut self, address: SocketAddr, connections: usize) {
        let timeout = Duration::from_nanos(self.timeout_ns).min(POOL_TIMEOUT);
        for _ in 0..connections {
            let Ok(stream) = StdStream::connect_timeout(&address, timeout) else {
                return;
            };
            let Ok(stream) = self.established(stream, address) else {
                return;
            };
            let (token, number) = self.table.reserve();
            let mut connection = Connection::idle(stream, number);
            if self.watch(&mut connection, token).is_ok() {
                self.table.insert(connection);
                self.table.release(token);
            }
        }
    }

    /// A connected socket as a stream, after the TLS handshake if there is one.
    fn established(&mut self, stream: StdStream, address: SocketAddr) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        let Some(client) = &self.tls else {
            stream.set_nonblocking(true)?;
            return Ok(Stream::Plain(TcpStream::from_std(stream)));
        };
        let timeout = Duration::from_nanos(self.timeout_ns).min(POOL_TIMEOUT);
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let session = client.handshake(address, &stream)?;
        stream.set_nonblocking(true)?;
        let tls = TlsStream::established(TcpStream::from_std(stream), session);
        tls.count(&mut self.tally.tls);
        Ok(Stream::Tls(Box::new(tls)))
    }

    /// A socket that is being connected.
    fn connecting(&self, address: SocketAddr) -> io::Result<Stream> {
        let stream = TcpStream::connect(address)?;
        if self.keeps_alive || self.tls.is_some() {
            stream.set_nodelay(true)?;
        }
        Ok(match &self.tls {
            None => Stream::Plain(stream),
            Some(client) => Stream::Tls(Box::new(client.open(address, stream)?)),
        })
    }

    /// Makes a request from its template before it is due.
    pub(super) fn prepare(&mut self, due: Due<'a>) {
        if let CallBytes::Template(template) = &due.call.bytes
            && self.prepared_number != Some(due.number)
        {
            template.render(due.number, &mut self.prepared);
            self.prepared_number = Some(due.number);
        }
    }

    /// Gives a connection the request that was made last.
    fn hand_over(&mut self, token: Token, due: Due<'a>) {
        if let CallBytes::Template(_) = due.call.bytes
            && let Some(connection) = self.table.get(token)
        {
            std::mem::swap(&mut connection.rendered, &mut self.prepared);
            self.prepared_number = None;
        }
    }

    /// Records that a request is about to be sent.
    fn begin(&mut self, due: Due<'a>, token: Token) -> Outstanding<'a> {
        self.serial += 1;
        let request = Outstanding::new(due, self.serial, self.clock.now_ns());
        self.outstanding += 1;
        self.tally.sent(request.sent_ns);
        self.deadlines.push_back(Deadline {
            at_ns: due.at_ns.saturating_add(self.timeout_ns),
            token,
            serial: self.serial,
        });
        request
    }

    fn watch(&self, connection: &mut Connection<'a>, token: Token) -> io::Result<()> {
        // Both interests from the start: edge-triggered, the writable interest costs one event per connection and no system call.
        self.poll.registry().register(
            connection.stream.socket_mut(),
            token,
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    /// Handles an event.
    pub(super) fn on_event(&mut self, event: &Event) {
        self.advance(event.token(), |connection, context| connection.on_event(event, context));
    }

    /// Lets a connection make a step, and applies it.
    fn advance(&mut self, token: Token, step: impl FnOnce(&mut Connection<'a>, &mut Context<'_>) -> Step) {
        if let Some(connection) = self.table.get(token) {
            let mut context = Context {
                clock: self.clock,
                buffer: &mut self.buffer,
                tls: &mut self.tally.tls,
            };
            let step = step(connection, &mut context);
            self.apply(token, step);
        }
    }

    /// Continues reading from connections with more data, once each.
    pub(super) fn resume(&mut self) {
        for _ in 0..self.again.len() {
            let Some(token) = self.again.pop_front() else { return };
            self.advance(token, Connection::resume);
        }
    }

    /// Applies a step of a connection.
    fn apply(&mut self, token: Token, step: Step) {
        match step {
            Step::Wait => {}
            Step::Again => self.again.push_back(token),
            Step::Done(now_ns, next) => self.done(token, now_ns, next),
            Step::Failed(now_ns, kind) => self.fail(token, now_ns, kind),
            Step::Closed => {
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
                self.closing.push_back((now_ns + CLOSE_TIMEOUT_NS, token));
            }
            Next::Closed => drop(self.table.remove(token)),
        }
        self.end(&request, status, number, verdict, now_ns, idle);
    }

    fn fail(&mut self, token: Token, now_ns: u64, kind: ErrorKind) {
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
    fn end(
        &mut self,
        request: &Outstanding<'a>,
        status: u16,
        connection: u32,
        error: Option<ErrorKind>,
        now_ns: u64,
        idle: Option<Token>,
    ) {
        let mut record = request.end(now_ns, status, connection, error);
        record.in_flight = self.outstanding;
        self.outstanding -= 1;
        self.record(record);
        self.ended.push_back(Ended {
            user: request.due.user,
            idle,
            error,
            at_ns: now_ns,
        });
    }
}

impl HttpTransport<'_> {
    fn record(&mut self, mut request: Request) {
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

impl<'a> Transport<'a> for HttpTransport<'a> {
    fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    fn take_idle(&mut self) -> Option<Token> {
        self.table.take_idle()
    }

    fn release(&mut self, token: Token) {
        self.table.release(token);
    }

    fn has_room(&self) -> bool {
        self.table.has_room()
    }

    fn send(&mut self, token: Token, due: Due<'a>) -> bool {
        if self.table.get(token).is_none_or(|c| c.phase != Phase::Idle) {
            return false;
        }
        self.prepare(due);
        self.hand_over(token, due);
        let request = self.begin(due, token);
        let clock = self.clock;
        let Some(connection) = self.table.get(token) else {
            return false;
        };
        if let Step::Failed(now_ns, kind) = connection.send(request, clock) {
            self.fail(token, now_ns, kind);
        }
        true
    }

    fn connect(&mut self, due: Due<'a>) {
        let (token, number) = self.table.reserve();
        self.prepare(due);
        let request = self.begin(due, token);
        let opened = self.connecting(due.call.address).and_then(|stream| {
            let mut connection = Connection::connecting(stream, number, request);
            self.watch(&mut connection, token)?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => {
                self.table.insert(connection);
                self.hand_over(token, due);
            }
            Err(error) => {
                let now_ns = self.clock.now_ns();
                self.end(&request, 0, number, Some(ErrorKind::of_connect(&error)), now_ns, None);
            }
        }
    }

    fn never_sent(&mut self, due: Due<'a>, now_ns: u64, kind: ErrorKind) {
        let mut record = Outstanding::new(due, 0, now_ns).end(now_ns, 0, u32::MAX, Some(kind));
        record.sent_ns = None;
        self.record(record);
    }
}

impl HttpTransport<'_> {
    /// Fails requests that have timed out, and resets connections that the server did not close.
    pub(super) fn expire(&mut self, now_ns: u64) {
        while let Some(deadline) = self.deadlines.front().copied() {
            let phase = self.phase_of(&deadline);
            if phase.is_some() && deadline.at_ns > now_ns {
                break;
            }
            self.deadlines.pop_front();
            if let Some(phase) = phase {
                let kind = match phase {
                    Phase::Connecting | Phase::Handshaking => ErrorKind::ConnectTimeout,
                    Phase::Idle | Phase::Busy | Phase::Closing => ErrorKind::Timeout,
                };
                self.apply(deadline.token, Step::Failed(now_ns, kind));
            }
        }
        self.reset_left_open(now_ns);
    }

    /// When [`Self::expire`] must be called next, ns of the run.
    pub(super) fn next_expiry_ns(&self) -> Option<u64> {
        let timeout = self.deadlines.front().map(|deadline| deadline.at_ns);
        let reset = self.closing.front().map(|(at_ns, _)| *at_ns);
        timeout.into_iter().chain(reset).min()
    }

    /// The phase of the connection with the request of a deadline, if it is still outstanding.
    fn phase_of(&mut self, deadline: &Deadline) -> Option<Phase> {
        let connection = self.table.get(deadline.token)?;
        let request = connection.request.as_ref()?;
        (request.serial == deadline.serial).then_some(connection.phase)
    }

    fn reset_left_open(&mut self, now_ns: u64) {
        while let Some((at_ns, token)) = self.closing.front().copied() {
            if self.table.get(token).is_some() {
                if at_ns > now_ns {
                    return;
                }
                self.tally.left_open += 1;
                self.apply(token, Step::Failed(now_ns, ErrorKind::Timeout));
            }
            self.closing.pop_front();
        }
    }

    /// Fails all outstanding requests.
    pub(super) fn cancel(&mut self, now_ns: u64) {
        for token in self.table.busy() {
            self.fail(token, now_ns, ErrorKind::Cancelled);
        }
    }
}
