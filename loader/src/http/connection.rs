//! A connection with its current request, and the table of connections of a thread.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use mio::Token;
use mio::event::Event;
use protocol::load::TlsStats;
use slab::Slab;
use socket2::SockRef;

use super::pacer::Due;
use super::stream::Stream;
use crate::call::CallBytes;
use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::reply::{Fed, ReplyReader};
use crate::request::Request;

/// Maximum number of reads per event, so that one server cannot monopolize the thread.
const MAX_READS: usize = 4;

/// A connection.
#[derive(Debug)]
pub struct Connection<'a> {
    pub stream: Stream,
    /// Its number within its thread.
    pub number: u32,
    pub phase: Phase,
    /// Its request, unless it is idle or closing.
    pub request: Option<Outstanding<'a>>,
    reader: ReplyReader,
    /// The bytes of its request, if it was made from a template.
    pub rendered: Vec<u8>,
}

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Being established.
    Connecting,
    /// In the TLS handshake.
    Handshaking,
    /// Without a request.
    Idle,
    /// With an outstanding request.
    Busy,
    /// Waiting for the server to close it after the last reply.
    Closing,
}

/// An outstanding request.
#[derive(Debug, Clone, Copy)]
pub struct Outstanding<'a> {
    pub due: Due<'a>,
    /// Its number within its thread.
    pub serial: u64,
    pub sent_ns: u64,
    connected_ns: Option<u64>,
    first_byte_ns: Option<u64>,
    bytes_in: u64,
    written: usize,
}

/// The effect of an event on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// None; it waits for the next event.
    Wait,
    /// More data may be available; it has to be read again after other connections.
    Again,
    /// Its reply was completed at this time.
    Done(u64, Next),
    /// Its request failed at this time; the connection is unusable.
    Failed(u64, ErrorKind),
    /// It was closed without a request.
    Closed,
}

/// The use of a connection after a complete reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It can carry another request.
    Reuse,
    /// The server will close it.
    AwaitClose,
    /// The server has closed it.
    Closed,
}

impl<'a> Outstanding<'a> {
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

    /// The record of the completed request; the transport adds thread and concurrency.
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

/// What event handling needs from the thread.
#[derive(Debug)]
pub struct Context<'b> {
    pub clock: Clock,
    pub buffer: &'b mut [u8],
    /// Counts TLS handshakes.
    pub tls: &'b mut TlsStats,
}

impl<'a> Connection<'a> {
    /// A connection that is being established, for a request.
    pub fn connecting(stream: Stream, number: u32, request: Outstanding<'a>) -> Self {
        Self {
            phase: Phase::Connecting,
            request: Some(request),
            ..Self::idle(stream, number)
        }
    }

    /// An established connection without a request.
    pub fn idle(stream: Stream, number: u32) -> Self {
        Self {
            stream,
            number,
            phase: Phase::Idle,
            request: None,
            reader: ReplyReader::new(),
            rendered: Vec::new(),
        }
    }

    /// Sends a request on an idle connection.
    pub fn send(&mut self, request: Outstanding<'a>, clock: Clock) -> Step {
        self.phase = Phase::Busy;
        self.reader.reset();
        self.request = Some(request);
        self.write(clock).unwrap_or_else(|step| step)
    }

    /// Handles an event.
    pub fn on_event(&mut self, event: &Event, context: &mut Context<'_>) -> Step {
        let is_closed = event.is_read_closed() || event.is_error();
        match self.phase {
            Phase::Idle | Phase::Closing => self.check_closed(is_closed, context),
            Phase::Connecting => self.on_connected(event, context).unwrap_or_else(|step| step),
            Phase::Handshaking => self.handshake(context).unwrap_or_else(|step| step),
            Phase::Busy => self.transfer(event, context).unwrap_or_else(|step| step),
        }
    }

    /// Continues reading after [`Step::Again`].
    pub fn resume(&mut self, context: &mut Context<'_>) -> Step {
        self.read(false, context).unwrap_or_else(|step| step)
    }

    /// Status of its reply, 0 before the header is complete.
    pub fn status(&self) -> u16 {
        self.reader.status()
    }

    /// The error of its complete reply, if any.
    pub fn verdict(&self) -> Option<ErrorKind> {
        self.reader.verdict().err()
    }

    /// Closes the connection with a reset, which frees the local port immediately.
    pub fn abort(self) {
        // If this fails, the socket is closed normally and only its port is in use longer.
        let _ = SockRef::from(self.stream.socket()).set_linger(Some(Duration::ZERO));
    }

    fn on_connected(&mut self, event: &Event, context: &mut Context<'_>) -> Result<Step, Step> {
        if event.is_error() || event.is_read_closed() {
            if let Ok(Some(error)) = self.stream.socket().take_error() {
                return Err(Step::Failed(context.clock.now_ns(), ErrorKind::of_connect(&error)));
            }
        } else if !event.is_writable() {
            return Ok(Step::Wait);
        }
        if self.stream.is_encrypted() {
            self.phase = Phase::Handshaking;
            return self.handshake(context);
        }
        self.connected(context.clock);
        self.transfer(event, context)
    }

    fn connected(&mut self, clock: Clock) {
        self.phase = Phase::Busy;
        if let Some(request) = &mut self.request {
            request.connected_ns = Some(clock.now_ns());
        }
    }

    /// Continues the TLS handshake, and sends the request when it is complete.
    fn handshake(&mut self, context: &mut Context<'_>) -> Result<Step, Step> {
        let done = self.stream.handshake(context.tls);
        let failed = |error| Step::Failed(context.clock.now_ns(), ErrorKind::of_transfer(&error));
        if !done.map_err(failed)? {
            return Ok(Step::Wait);
        }
        self.connected(context.clock);
        self.write(context.clock)?;
        // What arrived with the last message of the handshake triggers no further event.
        self.read(false, context)
    }

    fn transfer(&mut self, event: &Event, context: &mut Context<'_>) -> Result<Step, Step> {
        if event.is_writable() && self.has_unsent() {
            self.write(context.clock)?;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            return self.read(event.is_read_closed() || event.is_error(), context);
        }
        Ok(Step::Wait)
    }

    fn has_unsent(&self) -> bool {
        let unsent = |request: &Outstanding<'_>| match &request.due.call.bytes {
            CallBytes::Fixed(bytes) => request.written < bytes.len(),
            CallBytes::Template(_) => request.written < self.rendered.len(),
        };
        self.request.as_ref().is_some_and(unsent) || self.stream.wants_write()
    }

    fn write(&mut self, clock: Clock) -> Result<Step, Step> {
        let Some(request) = &mut self.request else {
            return Ok(Step::Wait);
        };
        let bytes: &[u8] = match &request.due.call.bytes {
            CallBytes::Fixed(bytes) => bytes,
            CallBytes::Template(_) => &self.rendered,
        };
        while request.written < bytes.len() {
            match self.stream.write(&bytes[request.written..]) {
                Ok(written) => request.written += written,
                Err(error) if would_block(&error) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Step::Failed(clock.now_ns(), ErrorKind::of_transfer(&error))),
            }
        }
        let flushed = self.stream.flush();
        flushed.map_err(|error| Step::Failed(clock.now_ns(), ErrorKind::of_transfer(&error)))?;
        Ok(Step::Wait)
    }

    /// Reads the reply; `is_closed`: no more data will arrive.
    fn read(&mut self, is_closed: bool, context: &mut Context<'_>) -> Result<Step, Step> {
        let Some(request) = &mut self.request else {
            return Ok(Step::Closed);
        };
        let expect = &request.due.call.expect;
        for _ in 0..MAX_READS {
            let read = match self.stream.read(context.buffer) {
                Ok(read) => read,
                Err(error) if would_block(&error) => return Ok(Step::Wait),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A TLS connection that ends without notice: a body that only this end delimits may be incomplete.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let kind = self.reader.end(expect).err().unwrap_or(ErrorKind::ShortBody);
                    return Err(Step::Failed(context.clock.now_ns(), kind));
                }
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
                Fed::Done(_) => return Ok(Step::Done(now_ns, self.next(is_closed))),
                // A short read has emptied the socket; the next byte triggers a new event.
                Fed::More if read < context.buffer.len() && !is_closed && !self.stream.is_encrypted() => {
                    return Ok(Step::Wait);
                }
                Fed::More => {}
            }
        }
        Ok(Step::Again)
    }

    fn next(&self, is_closed: bool) -> Next {
        match (is_closed, self.reader.keeps_alive()) {
            (true, _) => Next::Closed,
            (false, true) => Next::Reuse,
            (false, false) => Next::AwaitClose,
        }
    }

    /// Handles an event of a connection without a request: any data or error closes it.
    fn check_closed(&mut self, is_closed: bool, context: &mut Context<'_>) -> Step {
        match self.stream.read(context.buffer) {
            Err(error) if would_block(&error) && !is_closed => Step::Wait,
            _ => Step::Closed,
        }
    }
}

/// Whether a system call would block, for data or for the connection (`ENOTCONN`).
fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

/// Connections by token. A token contains the connection's number in addition to its slot, so that a stale token is never valid for the next connection
/// in the slot.
#[derive(Debug)]
pub struct ConnectionTable<'a> {
    slots: Slab<Connection<'a>>,
    /// Idle connections, longest idle first; may contain stale tokens.
    idle: VecDeque<Token>,
    max: usize,
    next_number: u32,
}

const SLOT_BITS: u32 = 32;

impl<'a> ConnectionTable<'a> {
    /// A table of at most `max` connections.
    pub fn new(max: usize) -> Self {
        let capacity = max.min(65_536);
        Self {
            slots: Slab::with_capacity(capacity),
            idle: VecDeque::with_capacity(capacity),
            max,
            next_number: 0,
        }
    }

    /// Whether another connection may be opened.
    pub fn has_room(&self) -> bool {
        self.slots.len() < self.max
    }

    /// Token and number of the next connection, which must be added with [`ConnectionTable::insert`].
    pub fn reserve(&mut self) -> (Token, u32) {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        (token(self.slots.vacant_key(), number), number)
    }

    /// Adds the connection that was reserved last.
    pub fn insert(&mut self, connection: Connection<'a>) {
        self.slots.insert(connection);
    }

    /// The connection of a token, if it still exists.
    pub fn get(&mut self, token: Token) -> Option<&mut Connection<'a>> {
        self.slots
            .get_mut(slot(token))
            .filter(|connection| connection.number as usize == token.0 >> SLOT_BITS)
    }

    /// Removes a connection.
    pub fn remove(&mut self, token: Token) -> Option<Connection<'a>> {
        self.get(token)?;
        Some(self.slots.remove(slot(token)))
    }

    /// Marks a connection as idle.
    pub fn release(&mut self, token: Token) {
        self.idle.push_back(token);
    }

    /// Takes the connection that has been idle longest.
    pub fn take_idle(&mut self) -> Option<Token> {
        while let Some(token) = self.idle.pop_front() {
            if self
                .get(token)
                .is_some_and(|connection| connection.phase == Phase::Idle)
            {
                return Some(token);
            }
        }
        None
    }

    /// The tokens of all connections with a request.
    pub fn busy(&self) -> Vec<Token> {
        self.slots
            .iter()
            .filter(|(_, c)| c.request.is_some())
            .map(|(slot, c)| token(slot, c.number))
            .collect()
    }
}

fn token(slot: usize, number: u32) -> Token {
    Token((number as usize) << SLOT_BITS | slot)
}

fn slot(token: Token) -> usize {
    token.0 & ((1 << SLOT_BITS) - 1)
}
