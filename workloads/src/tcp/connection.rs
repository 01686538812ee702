//! One socket and its session.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use super::head::MAX_HEAD;
use super::reply::Replies;
use super::session::Session;

/// Size of the buffer that a loop reads into; what a connection holds back fits in front of a read.
pub const BUFFER: usize = MAX_HEAD + 32 * 1024;
/// Reads in one turn before other connections get theirs.
const READS_A_TURN: usize = 16;
/// Seconds, and bytes, that are still read from a client that was refused while it was sending.
const DRAIN_SECONDS: u32 = 2;
const DRAIN_BYTES: usize = 1024 * 1024;

/// A client.
#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    session: Session,
    /// The start of a request whose rest has not come, at most [`MAX_HEAD`] bytes unless replies wait.
    held: Vec<u8>,
    /// Whether `held` may hold whole requests, left there because too many replies waited.
    stalled: bool,
    /// Bytes that may still be dropped, once all is sent and only the client's end is awaited.
    draining: Option<usize>,
    /// Second of the loop's clock at which the connection is closed.
    deadline: u32,
    /// Whether the loop watches for room to write.
    pub watches_write: bool,
}

/// What the loop has to do with a connection after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Wait for bytes.
    Read,
    /// Wait for room to write.
    Write,
    /// Give it another turn at once.
    Again,
    /// Drop it.
    Close,
}

/// What a turn needs from its loop.
#[derive(Debug)]
pub struct Turn<'a> {
    pub buffer: &'a mut [u8],
    pub replies: &'a Replies,
    /// Present second of the loop's clock.
    pub now: u32,
    /// Seconds without progress that a connection is granted.
    pub idle: u32,
    /// Whether the service is ending.
    pub ending: bool,
    /// Whether the client is known to have sent its last byte.
    pub hung_up: bool,
}

impl Connection {
    pub fn new(stream: TcpStream, deadline: u32) -> Self {
        Self {
            stream,
            session: Session::default(),
            held: Vec::new(),
            stalled: false,
            draining: None,
            deadline,
            watches_write: false,
        }
    }

    /// Whether its time is over.
    pub fn is_late(&self, now: u32) -> bool {
        now >= self.deadline
    }

    /// Whether nothing of a request has come since the last reply.
    pub fn is_idle(&self) -> bool {
        self.session.is_idle() && self.held.is_empty()
    }

    /// Reads, answers and writes as far as it goes without waiting.
    pub fn turn(&mut self, turn: &mut Turn<'_>) -> After {
        self.try_turn(turn).unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock => After::Read,
            io::ErrorKind::Interrupted => After::Again,
            _ => After::Close,
        })
    }

    fn try_turn(&mut self, turn: &mut Turn<'_>) -> io::Result<After> {
        for _ in 0..READS_A_TURN {
            if !self.flush(turn)? {
                return Ok(After::Write);
            }
            if self.session.is_over() && self.draining.is_none() && self.finish(turn)? {
                return Ok(After::Close);
            }
            let (read, room) = self.read(turn)?;
            if read == 0 && room > 0 {
                return Ok(After::Close);
            }
            // A short read has emptied the socket, and the next byte makes a new event.
            if read < room && !turn.hung_up && !self.session.is_over() && !self.session.is_full() {
                return Ok(if self.flush(turn)? { After::Read } else { After::Write });
            }
        }
        Ok(After::Again)
    }

    /// Writes what waits; false if the socket has no more room.
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

    /// Reads once and feeds the session; returns the bytes read and the room there was for them.
    ///
    /// The room is 0 when bytes were held back for want of room for replies: they go first.
    fn read(&mut self, turn: &mut Turn<'_>) -> io::Result<(usize, usize)> {
        if let Some(left) = self.draining.as_mut() {
            let read = self.stream.read(turn.buffer)?;
            *left = left.checked_sub(read).ok_or(io::ErrorKind::InvalidData)?;
            return Ok((read, turn.buffer.len()));
        }
        let held = self.held.len();
        turn.buffer[..held].copy_from_slice(&self.held);
        if self.stalled {
            self.feed(turn, held);
            return Ok((0, 0));
        }
        let read = self.stream.read(&mut turn.buffer[held..])?;
        let room = turn.buffer.len() - held;
        self.feed(turn, held + read);
        Ok((read, room))
    }

    fn feed(&mut self, turn: &Turn<'_>, len: usize) {
        let input = &turn.buffer[..len];
        let used = self.session.feed(input, turn.ending);
        if used > 0 {
            // Bytes of an unfinished head are no progress, so a slow sender cannot hold on for ever.
            self.deadline = turn.now + turn.idle;
        }
        self.stalled = self.session.is_full();
        self.held.clear();
        self.held.extend_from_slice(&input[used..]);
    }

    /// All is sent and no request will follow; true if the socket can be closed at once.
    ///
    /// Closing while the client sends would reset the connection and could take the reply with it, so
    /// after a refusal only the sending side is shut, and the rest is read and dropped.
    fn finish(&mut self, turn: &Turn<'_>) -> io::Result<bool> {
        if !self.session.has_more() {
            return Ok(true);
        }
        self.stream.shutdown(Shutdown::Write)?;
        self.draining = Some(DRAIN_BYTES);
        self.deadline = turn.now + DRAIN_SECONDS;
        Ok(false)
    }
}
