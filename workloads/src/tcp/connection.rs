//! A client connection: a socket and its session.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use super::head::MAX_HEAD;
use super::reply::Replies;
use super::session::Session;

/// Size of an event loop's read buffer; the unprocessed bytes of a connection fit in front of a read.
pub const BUFFER: usize = MAX_HEAD + 32 * 1024;
/// Reads per turn, so that other connections get theirs.
const READS_PER_TURN: usize = 16;
/// How long a client that was refused while sending is drained, in seconds.
const DRAIN_SECONDS: u32 = 2;
/// How much is drained from such a client, in bytes.
const DRAIN_BYTES: usize = 1024 * 1024;

/// A client connection.
#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    session: Session,
    /// Unprocessed input: the start of an incomplete request, at most [`MAX_HEAD`] bytes unless `stalled`.
    pending: Vec<u8>,
    /// Whether `pending` may contain complete requests because too many replies were queued.
    stalled: bool,
    /// Bytes that may still be drained, once everything is sent and only the client's FIN is awaited.
    draining: Option<usize>,
    /// When the connection times out, in seconds of the loop's clock.
    deadline: u32,
    /// Whether the loop polls for writability.
    pub polls_write: bool,
}

/// What the event loop does with a connection after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Wait until the socket is readable.
    Read,
    /// Wait until the socket is writable.
    Write,
    /// Give it another turn immediately.
    Again,
    /// Close it.
    Close,
}

/// What a connection needs from its event loop during a turn.
#[derive(Debug)]
pub struct Turn<'a> {
    pub buffer: &'a mut [u8],
    pub replies: &'a Replies,
    /// Current time in seconds of the loop's clock.
    pub now: u32,
    /// Idle timeout in seconds.
    pub idle: u32,
    /// Whether the service is shutting down.
    pub shutting_down: bool,
    /// Whether the client has closed its side.
    pub hung_up: bool,
}

impl Connection {
    pub fn new(stream: TcpStream, deadline: u32) -> Self {
        Self {
            stream,
            session: Session::default(),
            pending: Vec::new(),
            stalled: false,
            draining: None,
            deadline,
            polls_write: false,
        }
    }

    /// Whether the connection has timed out.
    pub fn is_expired(&self, now: u32) -> bool {
        now >= self.deadline
    }

    /// Whether no part of a request was received since the last reply.
    pub fn is_idle(&self) -> bool {
        self.session.is_idle() && self.pending.is_empty()
    }

    /// Reads, handles requests and writes replies until it would block.
    pub fn turn(&mut self, turn: &mut Turn<'_>) -> NextStep {
        self.try_turn(turn).unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock => NextStep::Read,
            io::ErrorKind::Interrupted => NextStep::Again,
            _ => NextStep::Close,
        })
    }

    fn try_turn(&mut self, turn: &mut Turn<'_>) -> io::Result<NextStep> {
        for _ in 0..READS_PER_TURN {
            if !self.flush(turn)? {
                return Ok(NextStep::Write);
            }
            if self.session.is_closing() && self.draining.is_none() && self.finish(turn)? {
                return Ok(NextStep::Close);
            }
            let (read, room) = self.read(turn)?;
            if read == 0 && room > 0 {
                return Ok(NextStep::Close);
            }
            // A short read has emptied the socket; the next byte triggers a new event.
            if read < room && !turn.hung_up && !self.session.is_closing() && !self.session.is_full() {
                return Ok(if self.flush(turn)? {
                    NextStep::Read
                } else {
                    NextStep::Write
                });
            }
        }
        Ok(NextStep::Again)
    }

    /// Writes the queued replies; returns false if the socket buffer is full.
    fn flush(&mut self, turn: &Turn<'_>) -> io::Result<bool> {
        while self.session.queued() > 0 {
            let written = match self.session.queued() {
                1 => self.stream.write(self.session.to_send(turn.replies)),
                _ => {
                    let mut slices = [IoSlice::new(&[]); 16];
                    let count = self.session.gather(turn.replies, &mut slices);
                    self.stream.write_vectored(&slices[..count])
                }
            };
            match written {
                Ok(bytes) => {
                    self.session.sent(turn.replies, bytes);
                    self.deadline = turn.now + turn.idle;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads once and feeds the session; returns the bytes read and the size of the buffer for them.
    ///
    /// The size is 0 if pending input was processed instead of reading (see `stalled`).
    fn read(&mut self, turn: &mut Turn<'_>) -> io::Result<(usize, usize)> {
        if let Some(left) = self.draining.as_mut() {
            let read = self.stream.read(turn.buffer)?;
            *left = left.checked_sub(read).ok_or(io::ErrorKind::InvalidData)?;
            return Ok((read, turn.buffer.len()));
        }
        let pending = self.pending.len();
        turn.buffer[..pending].copy_from_slice(&self.pending);
        if self.stalled {
            self.feed(turn, pending);
            return Ok((0, 0));
        }
        let read = self.stream.read(&mut turn.buffer[pending..])?;
        let room = turn.buffer.len() - pending;
        self.feed(turn, pending + read);
        Ok((read, room))
    }

    fn feed(&mut self, turn: &Turn<'_>, len: usize) {
        let input = &turn.buffer[..len];
        let used = self.session.feed(input, turn.shutting_down);
        if used > 0 {
            // An incomplete head does not extend the deadline, so a slow sender cannot hold the connection open.
            self.deadline = turn.now + turn.idle;
        }
        self.stalled = self.session.is_full();
        self.pending.clear();
        self.pending.extend_from_slice(&input[used..]);
    }

    /// Called when everything is sent and no request will follow; returns true if the socket can be closed.
    ///
    /// Closing while the client sends would reset the connection and could discard the reply. NextStep a
    /// refusal only the sending side is shut down, and the rest is drained.
    fn finish(&mut self, turn: &Turn<'_>) -> io::Result<bool> {
        if !self.session.has_unread_input() {
            return Ok(true);
        }
        self.stream.shutdown(Shutdown::Write)?;
        self.draining = Some(DRAIN_BYTES);
        self.deadline = turn.now + DRAIN_SECONDS;
        Ok(false)
    }
}
