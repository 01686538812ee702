//! One connection of the engine and the request on it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use socket2::SockRef;

use crate::load::clock::Clock;
use crate::load::error::ErrorKind;
use crate::load::reply::{Fed, ReplyReader};
use crate::load::request::Request;
use crate::load::schedule::Arrival;
use crate::load::target::Expect;

/// Reads in one turn, so that a server that sends without end does not keep the thread to itself.
const READS_A_TURN: usize = 4;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    /// Its number within its thread.
    pub number: u32,
    pub phase: Phase,
    /// The request on it, unless it is idle or closing.
    pub call: Option<Call>,
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

/// A request under way.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub arrival: Arrival,
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

impl Call {
    pub fn new(arrival: Arrival, sent_ns: u64) -> Self {
        Self {
            arrival,
            sent_ns,
            connected_ns: None,
            first_byte_ns: None,
            bytes_in: 0,
            written: 0,
        }
    }

    /// The record of the request as it ended.
    pub fn end(&self, done_ns: u64, status: u16, connection: u32, thread: u8, error: Option<ErrorKind>) -> Request {
        Request {
            intended_ns: self.arrival.at_ns,
            sent_ns: Some(self.sent_ns),
            connected_ns: self.connected_ns,
            first_byte_ns: self.first_byte_ns,
            done_ns,
            status,
            bytes_in: self.bytes_in,
            bytes_out: self.written as u64,
            connection,
            thread,
            error,
            warm_up: self.arrival.warm_up,
        }
    }
}

/// What an event handler needs from its thread.
#[derive(Debug)]
pub struct Context<'a> {
    pub clock: Clock,
    pub request: &'a [u8],
    pub buffer: &'a mut [u8],
}

impl Connection {
    /// Begins to connect, for a request.
    pub fn open(address: SocketAddr, number: u32, expect: Expect, call: Call) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        Ok(Self {
            stream,
            number,
            phase: Phase::Connecting,
            call: Some(call),
            reader: ReplyReader::new(expect),
        })
    }

    /// A connection that is up and has no request.
    pub fn idle(stream: TcpStream, number: u32, expect: Expect) -> Self {
        Self {
            stream,
            number,
            phase: Phase::Idle,
            call: None,
            reader: ReplyReader::new(expect),
        }
    }

    /// Sends a request on an idle connection.
    pub fn send(&mut self, call: Call, context: &mut Context<'_>) -> Step {
        self.phase = Phase::Busy;
        self.reader.reset();
        self.call = Some(call);
        self.write(context).unwrap_or_else(|step| step)
    }

    /// Does what an event allows.
    pub fn on(&mut self, event: &Event, context: &mut Context<'_>) -> Step {
        let over = event.is_read_closed() || event.is_error();
        match self.phase {
            Phase::Idle => self.look(over, context),
            Phase::Closing => self.look(over, context),
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
        if let Some(call) = &mut self.call {
            call.connected_ns = Some(context.clock.now_ns());
        }
        self.go_on(event, context)
    }

    fn go_on(&mut self, event: &Event, context: &mut Context<'_>) -> Result<Step, Step> {
        let unsent = self.call.is_some_and(|call| call.written < context.request.len());
        if unsent && event.is_writable() {
            self.write(context)?;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            return self.read(event.is_read_closed() || event.is_error(), context);
        }
        Ok(Step::Wait)
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<Step, Step> {
        let Some(call) = &mut self.call else {
            return Ok(Step::Wait);
        };
        while call.written < context.request.len() {
            match self.stream.write(&context.request[call.written..]) {
                Ok(bytes) => call.written += bytes,
                Err(error) if waits(&error) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Step::Failed(context.clock.now_ns(), ErrorKind::of_transfer(&error))),
            }
        }
        Ok(Step::Wait)
    }

    /// Reads the reply; `over` if no more will come after what the socket holds.
    fn read(&mut self, over: bool, context: &mut Context<'_>) -> Result<Step, Step> {
        let Some(call) = &mut self.call else {
            return Ok(Step::Gone);
        };
        for _ in 0..READS_A_TURN {
            let read = match self.stream.read(context.buffer) {
                Ok(read) => read,
                Err(error) if waits(&error) => return Ok(Step::Wait),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Step::Failed(context.clock.now_ns(), ErrorKind::of_transfer(&error))),
            };
            let now_ns = context.clock.now_ns();
            if read == 0 {
                self.reader.end().map_err(|kind| Step::Failed(now_ns, kind))?;
                return Ok(Step::Done(now_ns, Next::Closed));
            }
            call.first_byte_ns.get_or_insert(now_ns);
            call.bytes_in += read as u64;
            match self
                .reader
                .feed(&context.buffer[..read])
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
