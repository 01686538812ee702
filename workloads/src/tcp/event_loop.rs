//! The event loop of one thread: accepts, gives connections their turns, closes what is late.

use std::io;
use std::net::TcpListener as StdListener;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::connection::{After, BUFFER, Connection, Turn};
use super::reply::Replies;
use crate::shutdown::Shutdown;

const LISTENER: Token = Token(usize::MAX - 1);
const SHUTDOWN: Token = Token(usize::MAX - 2);
/// Pause before accepting again when descriptors or memory ran out, instead of trying in a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time that requests under way are given when the service ends.
const GRACE: Duration = Duration::from_secs(2);

/// One thread's share of the service.
#[derive(Debug)]
pub struct EventLoop<'a> {
    poll: Poll,
    /// `None` once the service is ending.
    listener: Option<TcpListener>,
    replies: &'a Replies,
    connections: Slab<Connection>,
    /// Connections that did not finish in their turn.
    again: Vec<usize>,
    buffer: Box<[u8]>,
    most: usize,
    idle: u32,
    started: Instant,
    /// The second in which late connections were last looked for.
    swept: u32,
    /// Whether connections may wait to be accepted: events come only once.
    backlog: bool,
    /// When to accept again after a failure.
    paused_until: Option<Instant>,
    /// When the service ends whatever is still open.
    end_by: Option<Instant>,
}

impl<'a> EventLoop<'a> {
    /// A loop that watches `listener` and `shutdown` and keeps at most `most` connections.
    pub fn new(
        listener: StdListener,
        shutdown: &Shutdown,
        replies: &'a Replies,
        most: usize,
        idle: Duration,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        poll.registry()
            .register(&mut SourceFd(&shutdown.as_raw_fd()), SHUTDOWN, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener: Some(listener),
            replies,
            connections: Slab::with_capacity(most.min(1024)),
            again: Vec::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            most,
            idle: u32::try_from(idle.as_secs()).unwrap_or(u32::MAX / 2),
            started: Instant::now(),
            swept: 0,
            backlog: true,
            paused_until: None,
            end_by: None,
        })
    }

    /// Serves until the shutdown is asked for and the requests under way are answered.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.is_over() {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let now = self.now();
            for key in std::mem::take(&mut self.again) {
                self.turn(key, now, false);
            }
            for event in &events {
                self.on(event, now);
            }
            if self.backlog {
                self.accept(now);
            }
            if now != self.swept {
                self.sweep(now);
            }
        }
        Ok(())
    }

    fn on(&mut self, event: &Event, now: u32) {
        match event.token() {
            LISTENER => self.backlog = true,
            SHUTDOWN => self.begin_to_end(),
            Token(key) => self.turn(key, now, event.is_read_closed() || event.is_error()),
        }
    }

    fn is_over(&self) -> bool {
        self.end_by
            .is_some_and(|end| self.connections.is_empty() || Instant::now() >= end)
    }

    /// How long may be waited: for ever if nothing is open, so that an idle service costs nothing.
    fn timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            Some(Duration::ZERO)
        } else if self.paused_until.is_some() || self.end_by.is_some() {
            Some(ACCEPT_PAUSE)
        } else if self.connections.is_empty() {
            None
        } else {
            Some(Duration::from_secs(1))
        }
    }

    /// Seconds since the loop was made.
    fn now(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn accept(&mut self, now: u32) {
        let Some(listener) = &self.listener else {
            return;
        };
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.paused_until = None;
        while self.connections.len() < self.most {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    let entry = self.connections.vacant_entry();
                    let token = Token(entry.key());
                    if self
                        .poll
                        .registry()
                        .register(&mut stream, token, Interest::READABLE)
                        .is_ok()
                    {
                        entry.insert(Connection::new(stream, now.saturating_add(self.idle)));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.backlog = false;
                    return;
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => {
                    self.paused_until = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn turn(&mut self, key: usize, now: u32, hung_up: bool) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let mut turn = Turn {
            buffer: &mut self.buffer,
            replies: self.replies,
            now,
            idle: self.idle,
            ending: self.end_by.is_some(),
            hung_up,
        };
        match connection.turn(&mut turn) {
            After::Read => {}
            After::Again => self.again.push(key),
            After::Write if connection.watches_write => {}
            After::Write => {
                connection.watches_write = true;
                let both = Interest::READABLE | Interest::WRITABLE;
                if self
                    .poll
                    .registry()
                    .reregister(&mut connection.stream, Token(key), both)
                    .is_err()
                {
                    self.connections.remove(key);
                }
            }
            After::Close => {
                self.connections.remove(key);
                self.paused_until = None; // a descriptor is free again
            }
        }
    }

    /// Closes connections that made no progress for too long.
    fn sweep(&mut self, now: u32) {
        self.swept = now;
        self.connections.retain(|_, connection| !connection.is_late(now));
    }

    /// Stops accepting, drops idle connections, and lets the others finish their request.
    fn begin_to_end(&mut self) {
        if let Some(mut listener) = self.listener.take() {
            // Closing the listener takes it out of the poll in any case.
            let _ = self.poll.registry().deregister(&mut listener);
            self.end_by = Some(Instant::now() + GRACE);
            self.connections.retain(|_, connection| !connection.is_idle());
        }
    }
}

/// Whether accepting failed for the connection at the head of the queue only.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO | libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN)
    )
}
