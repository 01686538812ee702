//! The loop of one socket: receive, reply, wait.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use super::batch::Batch;
use super::counters::{Counters, SocketCounters};
use super::packet::{Reply, ReplyMode};
use crate::shutdown::Shutdown;

/// Batches between two checks for the shutdown, when the load never lets the socket run empty.
const SHUTDOWN_CHECK_INTERVAL: u32 = 256;
/// Infinite timeout of `poll`.
const NO_TIMEOUT: i32 = -1;

/// One socket and its thread.
#[derive(Debug)]
pub struct SocketLoop<'a> {
    socket: &'a UdpSocket,
    own_counters: &'a SocketCounters,
    counters: &'a Counters<'a>,
    mode: &'a ReplyMode,
    shutdown: &'a Shutdown,
    batch: Batch<'a>,
}

impl<'a> SocketLoop<'a> {
    /// The loop of the socket with this index.
    pub fn new(
        index: usize,
        counters: &'a Counters<'a>,
        mode: &'a ReplyMode,
        batch: usize,
        shutdown: &'a Shutdown,
    ) -> Self {
        Self {
            socket: counters.socket(index),
            own_counters: counters.of_socket(index),
            counters,
            mode,
            shutdown,
            batch: Batch::new(batch),
        }
    }

    /// Serves until the shutdown.
    pub fn run(mut self) -> io::Result<()> {
        let mut batches = 0_u32;
        loop {
            let received = match self.batch.receive(self.socket) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if received > 0 && self.reply(received)? {
                return Ok(());
            }
            batches = batches.wrapping_add(1);
            // A batch that is not full has emptied the socket, so wait; another receive would cost a call, too.
            let empty = received < self.batch.capacity();
            let timeout_ms = if empty { NO_TIMEOUT } else { 0 };
            let check = empty || batches.is_multiple_of(SHUTDOWN_CHECK_INTERVAL);
            if check && self.wait(libc::POLLIN, timeout_ms)? {
                return Ok(());
            }
        }
    }

    /// Replies to the received packets; returns true on shutdown.
    fn reply(&mut self, received: usize) -> io::Result<bool> {
        let mut stat_requests = 0;
        for at in 0..received {
            match self.mode.reply(self.batch.packet(at)) {
                Reply::Bytes(letters, echoed) => self.batch.queue_reply(at, letters, echoed),
                Reply::Counters => {
                    stat_requests += 1;
                    self.report_counters(at);
                }
            }
        }
        let mut result = self.batch.send(self.socket, 0);
        let (mut sent, mut failed) = (result.sent, result.failed);
        while let Some(at) = result.blocked_at {
            // The device queue is full. While waiting, the receive buffer fills, and its drops are counted.
            if self.wait(libc::POLLOUT, NO_TIMEOUT)? {
                return Ok(true);
            }
            result = self.batch.send(self.socket, at);
            sent += result.sent;
            failed += result.failed;
        }
        self.own_counters
            .add((received - stat_requests) as u64, sent as u64, failed as u64);
        Ok(false)
    }

    /// Replies to a request for the counters, separately from the batch.
    fn report_counters(&self, at: usize) {
        if let Some(client) = self.batch.sender(at) {
            // The client retries if the reply is lost.
            let _ = self
                .socket
                .send_to(&self.counters.report(self.batch.packet(at)), client);
        }
    }

    /// Waits until the socket is ready or the shutdown starts; returns true for the latter.
    #[expect(unsafe_code, reason = "poll has no safe form in std")]
    fn wait(&self, events: i16, timeout_ms: i32) -> io::Result<bool> {
        let mut polled = [
            (self.socket.as_raw_fd(), events),
            (self.shutdown.as_raw_fd(), libc::POLLIN),
        ]
        .map(|(fd, events)| libc::pollfd { fd, events, revents: 0 });
        // SAFETY: the length matches the array `polled`, which outlives the call.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout_ms) };
        if ready >= 0 {
            return Ok(polled[1].revents != 0);
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        }
    }
}
