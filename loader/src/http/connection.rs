//! One connection and the request on it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use socket2::SockRef;

use crate::call::Call;
use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::reply::{Fed, ReplyReader};
use crate::request::Request;

/// Reads in one turn, so that a server that sends without end does not keep the thread to itself.
const READS_A_TURN: usize = 4;

/// A connection.
#[derive(Debug)]
pub struct Connection<'a> {
    pub stream: TcpStream,
    /// Its number within its thread.
    pub number: u32,
    pub phase: Phase,
    /// The request on it, unless it is idle or closing.
    pub request: Option<UnderWay<'a>>,
    reader: ReplyReader,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To be up.
    Connecting,
    /// For a request.
    Idle,
    /// For a reply, or for room to send the rest of the request.
    Busy,
    /// For the server to close, after the last reply.
    Closing,
}

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub struct Due<'a> {
    pub call: &'a Call,
    /// When it was due, ns from the start of the run.
    pub at_ns: u64,
    pub warm_up: bool,
    /// Whose it is, in an engine with users; comes back when it ended.
    pub user: u32,
}

/// A request under way.
#[derive(Debug, Clone, Copy)]
pub struct UnderWay<'a> {
    pub due: Due<'a>,
    /// Its number within its thread.
    pub serial: u64,
    pub sent_ns: u64,
    connected_ns: Option<u64>,
    first_byte_ns: Option<u64>,
    bytes_in: u64,
    written: usize,
}

/// What became of a connection by an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It waits on.
    Wait,
    /// More may be there to read: it wants another turn, after others had theirs.
    Again,
    /// Its reply is complete at this time.
    Done(u64, Next),
    /// Its request failed at this time, and the connection is of no more use.
    Failed(u64, ErrorKind),
    /// It ended without a request on it.
    Gone,
}

/// What a connection is good for after a complete reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another request.
    Reuse,
    /// Nothing, and the server will close it.
    AwaitClose,
    /// Nothing, and the server has closed it.
    Closed,
}

impl<'a> UnderWay<'a> {
    pub fn new(due: Due<'a>, serial: u64, sent_ns: u64) -> Self {
        Self {
            due,
            serial,
            sent_ns,
            connected_ns: None,
            first_byte_ns: None,
            bytes_in: 0,
            written: 0,
        }
    }

    /// The record of the request as it ended, without what its thread knows of it.
    pub fn end(&self, done_ns: u64, status: u16, connection: u32, error: Option<ErrorKind>) -> Request {
        Request {
            intended_ns: self.due.at_ns,
            sent_ns: Some(self.sent_ns),
            connected_ns: self.connected_ns,
            first_byte_ns: self.first_byte_ns,
            done_ns,
            label: self.due.call.label,
            status,
            bytes_in: self.bytes_in,
            bytes_out: self.written as u64,
            connection,
            thread: 0,
            in_flight: 0,
            error,
            warm_up: self.due.warm_up,
        }
    }
}

/// What an event handler needs from its thread.
#[derive(Debug)]
pub struct Context<'b> {
    pub clock: Clock,
    pub buffer: &'b mut [u8],
}

impl<'a> Connection<'a> {
    /// Begins to connect, for a request.
    pub fn open(address: SocketAddr, number: u32, request: UnderWay<'a>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        Ok(Self {
            stream,
            number,
            phase: Phase::Connecting,
            request: Some(request),
            reader: ReplyReader::new(),
        })
    }

    /// A connection that is up and has no request.
    pub fn idle(stream: TcpStream, number: u32) -> Self {
        Self {
            stream,
            number,
            phase: Phase::Idle,
            request: None,
            reader: ReplyReader::new(),
        }
    }

    /// Sends a request on an idle connection.
    pub fn send(&mut self, request: UnderWay<'a>, clock: Clock) -> Step {
        self.phase = Phase::Busy;
        self.reader.reset();
        self.request = Some(request);
        self.write(clock).unwrap_or_else(|step| step)
    }

    /// Does what an event allows.
    pub fn on(&mut self, event: &Event, context: &mut Context<'_>) -> Step {
        let over = event.is_read_closed() || event.is_error();
        match self.phase {
            Phase::Idle | Phase::Closing => self.look(over, context),
            Phase::Connecting => self.connected(event, context).unwrap_or_else(|step| step),
            Phase::Busy => self.go_on(event, context).unwrap_or_else(|step| step),
        }
    }

    /// Goes on reading where a turn ended before the socket was empty.
    pub fn resume(&mut self, context: &mut Context<'_>) -> Step {
        self.read(false, context).unwrap_or_else(|step| step)
    }

    /// Status of the reply on it, 0 before its head is complete.
    pub fn status(&self) -> u16 {
        self.reader.status()
    }

    /// The verdict on its complete reply.
    pub fn verdict(&self) -> Option<ErrorKind> {
        self.reader.verdict().err()
    }

    /// Makes the end of the connection a reset, which frees the local port at once.
    pub fn abort(self) {
        // Where it fails, the socket is closed in the ordinary way, and only its port stays longer.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn connected(&mut self, event: &Event, context: &mut Context<'_>) -> Result<Step, Step> {
        if event.is_error() || event.is_read_closed() {
            if let Ok(Some(error)) = self.stream.take_error() {
                return Err(Step::Failed(context.clock.now_ns(), ErrorKind::of_connect(&error)));
            }
        } else if !event.is_writable() {
            return Ok(Step::Wait);
        }
        self.phase = Phase::Busy;
        if let Some(request) = &mut self.request {
            request.connected_ns = Some(context.clock.now_ns());
        }
        self.go_on(event, context)
    }

    fn go_on(&mut self, event: &Event, context: &mut Context<'_>) -> Result<Step, Step> {
        let unsent = self.request.is_some_and(|r| r.written < r.due.call.bytes.len());
        if unsent && event.is_writable() {
            self.write(context.clock)?;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            return self.read(event.is_read_closed() || event.is_error(), context);
        }
        Ok(Step::Wait)
    }

    fn write(&mut self, clock: Clock) -> Result<Step, Step> {
        let Some(request) = &mut self.request else {
            return Ok(Step::Wait);
        };
        let bytes = &request.due.call.bytes;
        while request.written < bytes.len() {
            match self.stream.write(&bytes[request.written..]) {
                Ok(written) => request.written += written,
                Err(error) if waits(&error) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Step::Failed(clock.now_ns(), ErrorKind::of_transfer(&error))),
            }
        }
        Ok(Step::Wait)
    }

    /// Reads the reply; `over` if no more will come after what the socket holds.
    fn read(&mut self, over: bool, context: &mut Context<'_>) -> Result<Step, Step> {
        let Some(request) = &mut self.request else {
            return Ok(Step::Gone);
        };
        let expect = &request.due.call.expect;
        for _ in 0..READS_A_TURN {
            let read = match self.stream.read(context.buffer) {
                Ok(read) => read,
                Err(error) if waits(&error) => return Ok(Step::Wait),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Step::Failed(context.clock.now_ns(), ErrorKind::of_transfer(&error))),
            };
            let now_ns = context.clock.now_ns();
            if read == 0 {
                self.reader.end(expect).map_err(|kind| Step::Failed(now_ns, kind))?;
                return Ok(Step::Done(now_ns, Next::Closed));
            }
            request.first_byte_ns.get_or_insert(now_ns);
            request.bytes_in += read as u64;
            match self
                .reader
                .feed(&context.buffer[..read], expect)
                .map_err(|kind| Step::Failed(now_ns, kind))?
            {
                Fed::Done(used) if used < read => return Err(Step::Failed(now_ns, ErrorKind::TrailingBytes)),
                Fed::Done(_) => return Ok(Step::Done(now_ns, self.next(over))),
                // A short read has emptied the socket, and the next byte makes a new event.
                Fed::More if read < context.buffer.len() && !over => return Ok(Step::Wait),
                Fed::More => {}
            }
        }
        Ok(Step::Again)
    }

    fn next(&self, over: bool) -> Next {
        match (over, self.reader.keeps_alive()) {
            (true, _) => Next::Closed,
            (false, true) => Next::Reuse,
            (false, false) => Next::AwaitClose,
        }
    }

    /// Looks at a connection without a request: whatever it has to say, it is the end, unless nothing came.
    fn look(&mut self, over: bool, context: &mut Context<'_>) -> Step {
        match self.stream.read(context.buffer) {
            Err(error) if waits(&error) && !over => Step::Wait,
            _ => Step::Gone,
        }
    }
}

/// Whether a system call would have to wait, for the connection (`ENOTCONN`) or for bytes.
fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}
