//! The event loop of one thread: accepts, serves and times out connections.

use std::io;
use std::net::TcpListener as StdListener;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::connection::{BUFFER, Connection, NextStep, Turn};
use super::reply::Replies;
use crate::shutdown::Shutdown;

const LISTENER: Token = Token(usize::MAX - 1);
const SHUTDOWN: Token = Token(usize::MAX - 2);
/// Pause after accepting failed for lack of descriptors or memory, to avoid a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long requests in flight may take during shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// One thread of the service.
#[derive(Debug)]
pub struct EventLoop<'a> {
    poll: Poll,
    /// `None` during shutdown.
    listener: Option<TcpListener>,
    replies: &'a Replies,
    connections: Slab<Connection>,
    /// Connections that need another turn immediately.
    again: Vec<usize>,
    buffer: Box<[u8]>,
    max_connections: usize,
    idle: u32,
    started: Instant,
    /// When expired connections were last closed, in seconds of the loop's clock.
    last_sweep: u32,
    /// Whether connections may be waiting in the accept queue; events are edge-triggered.
    backlog: bool,
    /// When to resume accepting after a failure.
    paused_until: Option<Instant>,
    /// When the shutdown ends even if connections are open; `None` before the shutdown.
    shutdown_deadline: Option<Instant>,
}

impl<'a> EventLoop<'a> {
    /// A loop that serves `listener` until `shutdown`, with at most `max_connections` open connections.
    pub fn new(
        listener: StdListener,
        shutdown: &Shutdown,
        replies: &'a Replies,
        max_connections: usize,
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
            connections: Slab::with_capacity(max_connections.min(1024)),
            again: Vec::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            max_connections,
            idle: u32::try_from(idle.as_secs()).unwrap_or(u32::MAX / 2),
            started: Instant::now(),
            last_sweep: 0,
            backlog: true,
            paused_until: None,
            shutdown_deadline: None,
        })
    }

    /// Serves until the shutdown, then finishes the requests in flight.
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
                self.on_event(event, now);
            }
            if self.backlog {
                self.accept(now);
            }
            if now != self.last_sweep {
                self.close_expired(now);
            }
        }
        Ok(())
    }

    fn on_event(&mut self, event: &Event, now: u32) {
        match event.token() {
            LISTENER => self.backlog = true,
            SHUTDOWN => self.start_shutdown(),
            Token(key) => self.turn(key, now, event.is_read_closed() || event.is_error()),
        }
    }

    fn is_over(&self) -> bool {
        self.shutdown_deadline
            .is_some_and(|end| self.connections.is_empty() || Instant::now() >= end)
    }

    /// The poll timeout: none if there are no connections, so that an idle service uses no CPU time.
    fn timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            Some(Duration::ZERO)
        } else if self.paused_until.is_some() || self.shutdown_deadline.is_some() {
            Some(ACCEPT_PAUSE)
        } else if self.connections.is_empty() {
            None
        } else {
            Some(Duration::from_secs(1))
        }
    }

    /// Seconds since the loop was created.
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
        while self.connections.len() < self.max_connections {
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
                Err(error) if is_connection_error(&error) => {}
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
            shutting_down: self.shutdown_deadline.is_some(),
            hung_up,
        };
        match connection.turn(&mut turn) {
            NextStep::Read => {}
            NextStep::Again => self.again.push(key),
            NextStep::Write if connection.polls_write => {}
            NextStep::Write => {
                connection.polls_write = true;
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
            NextStep::Close => {
                self.connections.remove(key);
                self.paused_until = None; // a descriptor is free again
            }
        }
    }

    /// Closes connections that have timed out.
    fn close_expired(&mut self, now: u32) {
        self.last_sweep = now;
        self.connections.retain(|_, connection| !connection.is_expired(now));
    }

    /// Stops accepting, closes idle connections, and lets the others finish their request.
    fn start_shutdown(&mut self) {
        if let Some(mut listener) = self.listener.take() {
            // Closing the listener removes it from the poll anyway.
            let _ = self.poll.registry().deregister(&mut listener);
            self.shutdown_deadline = Some(Instant::now() + SHUTDOWN_GRACE);
            self.connections.retain(|_, connection| !connection.is_idle());
        }
    }
}

/// Whether an accept error concerns only the connection at the head of the queue.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO | libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN)
    )
}
