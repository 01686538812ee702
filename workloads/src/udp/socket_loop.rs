//! The loop of one socket: receive, answer, wait.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use super::batch::Batch;
use super::counters::{Lane, Shared};
use super::packet::{Answer, Reply};
use crate::shutdown::Shutdown;

/// Under a load that never lets the socket run dry, the wish to end is looked for once in so many batches.
const LOOK_EVERY: u32 = 256;

/// One socket's share of the service.
#[derive(Debug)]
pub struct SocketLoop<'a> {
    socket: &'a UdpSocket,
    lane: &'a Lane,
    shared: &'a Shared<'a>,
    reply: &'a Reply,
    shutdown: &'a Shutdown,
    batch: Batch<'a>,
}

impl<'a> SocketLoop<'a> {
    /// The loop of the socket at a place.
    pub fn new(place: usize, shared: &'a Shared<'a>, reply: &'a Reply, batch: usize, shutdown: &'a Shutdown) -> Self {
        Self {
            socket: shared.socket(place),
            lane: shared.lane(place),
            shared,
            reply,
            shutdown,
            batch: Batch::new(batch),
        }
    }

    /// Serves until the shutdown is asked for.
    pub fn run(mut self) -> io::Result<()> {
        let mut batches = 0_u32;
        loop {
            let received = match self.batch.receive(self.socket) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if received > 0 && self.answer(received)? {
                return Ok(());
            }
            batches = batches.wrapping_add(1);
            // A batch that is not full has emptied the socket: waiting costs one call, and another look would, too.
            let empty = received < self.batch.capacity();
            let patience = if empty { FOR_EVER } else { 0 };
            if (empty || batches.is_multiple_of(LOOK_EVERY)) && self.wait(libc::POLLIN, patience)? {
                return Ok(());
            }
        }
    }

    /// Answers what was received; true if the service is to end.
    fn answer(&mut self, received: usize) -> io::Result<bool> {
        let mut asks = 0;
        for at in 0..received {
            match self.reply.to(self.batch.packet(at)) {
                Answer::Bytes(letters, kept) => self.batch.reply(at, letters, kept),
                Answer::Counters => {
                    asks += 1;
                    self.tell(at);
                }
            }
        }
        let mut sent = self.batch.send(self.socket, 0);
        let (mut taken, mut refused) = (sent.taken, sent.refused);
        while let Some(at) = sent.stopped_at {
            // The queue of the device is full. Waiting is honest: the receive buffer fills meanwhile, and its drops are counted.
            if self.wait(libc::POLLOUT, FOR_EVER)? {
                return Ok(true);
            }
            sent = self.batch.send(self.socket, at);
            taken += sent.taken;
            refused += sent.refused;
        }
        self.lane.add((received - asks) as u64, taken as u64, refused as u64);
        Ok(false)
    }

    /// Answers a request for the counters, at once and apart from the others.
    fn tell(&self, at: usize) {
        if let Some(asker) = self.batch.sender(at) {
            // Whoever asked asks again.
            let _ = self.socket.send_to(&self.shared.tell(self.batch.packet(at)), asker);
        }
    }

    /// Waits until the socket is ready or the service is to end; true if the latter.
    #[expect(unsafe_code, reason = "poll has no safe form in std")]
    fn wait(&self, events: i16, patience_ms: i32) -> io::Result<bool> {
        let mut watched = [
            (self.socket.as_raw_fd(), events),
            (self.shutdown.as_raw_fd(), libc::POLLIN),
        ]
        .map(|(fd, events)| libc::pollfd { fd, events, revents: 0 });
        // SAFETY: `watched` is an array of as many entries as are told, and lives over the call.
        let ready = unsafe { libc::poll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, patience_ms) };
        if ready >= 0 {
            return Ok(watched[1].revents != 0);
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        }
    }
}

/// As long as it takes, for `poll`.
const FOR_EVER: i32 = -1;
