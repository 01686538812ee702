//! One thread with one socket: sends what is due, reads what came, gives up what is late.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::book::{Book, Reply};
use super::pace::Pace;
use super::packet::{self, Read};
use super::plan::{UdpPlan, UdpReply};
use super::socket::{BATCH, Socket};
use super::stream::Order;
use crate::clock::Clock;
use crate::control::{Control, Progress};
use protocol::load::Usage;

use crate::cpu::{Schedstat, pin};
use crate::error::{ErrorKind, LoadError};
use protocol::load::Wait;

/// So long before something is due, and after something happened, the thread watches the clock instead of sleeping.
const SPIN_NS: u64 = 50_000;
/// The longest sleep, so that a cancelled load ends soon.
const LONGEST: Duration = Duration::from_millis(20);

/// A thread's part of every stream.
#[derive(Debug)]
pub struct Flow {
    thread: usize,
    cpu: Option<usize>,
    wait: Wait,
    size: usize,
    reply: UdpReply,
    socket: Socket,
    /// Over all streams.
    progress: Progress,
}

/// What a flow brings back of a stream.
#[derive(Debug)]
pub struct Flown {
    /// What became of each packet.
    pub book: Book,
    /// Times that the service's host said that nothing listens there.
    pub refused: u64,
    /// Packets that the kernel dropped at the socket.
    pub dropped: Option<u64>,
    /// What the thread took.
    pub usage: Usage,
}

/// A stream under way.
struct Stream<'a> {
    flow: &'a mut Flow,
    share: Order,
    clock: Clock,
    pace: Pace,
    book: Book,
    refused: u64,
    /// Whether the kernel had no room for a packet.
    full: bool,
    /// When something happened last.
    active_ns: u64,
    /// When there was nothing to do and the thread stayed awake.
    idle_ns: Option<u64>,
    /// What was spent on that, ns.
    spun_ns: u64,
}

impl Flow {
    /// Opens the socket of a thread.
    pub fn open(thread: usize, plan: &UdpPlan, address: SocketAddr) -> Result<Self, LoadError> {
        Ok(Self {
            thread,
            cpu: plan.cpus.get(thread).copied(),
            wait: plan.wait,
            size: plan.size,
            reply: plan.reply,
            socket: Socket::open(address, plan.size, plan.reply.bytes(plan.size) + 1)?,
            progress: Progress::default(),
        })
    }

    /// The socket's receive buffer, bytes.
    pub fn receive_buffer(&self) -> u64 {
        self.socket.receive_buffer()
    }

    /// Sends its share of a stream, and waits for all replies or the end of their time-outs.
    pub fn run(&mut self, share: Order, clock: Clock, control: &Control) -> Result<Flown, LoadError> {
        if let Some(cpu) = self.cpu {
            pin(cpu)?;
        }
        let (began, dropped) = (Schedstat::of_this_thread(), self.socket.dropped());
        let began_ns = clock.now_ns();
        let mut stream = Stream {
            share,
            clock,
            pace: Pace::new(share.start_ns, share.pace_ns, share.window),
            book: Book::new(usize::try_from(share.packets).unwrap_or(usize::MAX)),
            refused: 0,
            full: false,
            active_ns: 0,
            idle_ns: None,
            spun_ns: 0,
            flow: self,
        };
        stream.run(control);
        let (book, refused, spun_ns) = (stream.book, stream.refused, stream.spun_ns);
        let wall_ns = clock.now_ns() - began_ns;
        Ok(Flown {
            book,
            refused,
            dropped: dropped.and_then(|before| Some(self.socket.dropped()?.saturating_sub(before))),
            usage: Schedstat::of_this_thread().since(began, wall_ns, spun_ns),
        })
    }
}

impl Stream<'_> {
    fn run(&mut self, control: &Control) {
        let lane = control.lane(self.flow.thread);
        while !self.is_over() {
            if control.is_cancelled() {
                self.cancel();
                break;
            }
            let moved = self.send() + self.receive();
            let now_ns = self.clock.now_ns();
            self.expire(now_ns);
            lane.publish(self.flow.progress);
            let since_ns = self.idle_ns.take();
            if moved > 0 {
                self.active_ns = now_ns;
            } else {
                self.spun_ns += since_ns.map_or(0, |since| now_ns.saturating_sub(since));
                self.rest(now_ns);
            }
        }
        lane.publish(self.flow.progress);
    }

    fn is_over(&self) -> bool {
        self.is_sent() && self.pace.under_way() == 0
    }

    fn is_sent(&self) -> bool {
        self.book.len() as u64 == self.share.packets
    }

    /// Sends what is due, a batch at most; returns how many went out.
    fn send(&mut self) -> usize {
        let now_ns = self.clock.now_ns();
        // The pace is tried on a copy: only the kernel's answer tells how many of the batch went out.
        let (mut pace, mut due) = (self.pace, 0);
        let left = usize::try_from(self.share.packets - self.book.len() as u64).unwrap_or(usize::MAX);
        while due < left.min(BATCH) && pace.next_ns().is_some_and(|at| at <= now_ns) {
            pace.sent();
            due += 1;
        }
        if due == 0 {
            return 0;
        }
        let first = self.book.len() as u64;
        match self.flow.socket.send(self.share.tag, first, due) {
            Ok(sent) => {
                (0..sent).for_each(|_| self.book.sent(self.pace.sent(), now_ns));
                self.flow.progress.sent += sent as u64;
                self.full = false;
                sent
            }
            Err(error) => self.not_sent(&error, now_ns),
        }
    }

    /// The first packet of a batch did not go out.
    fn not_sent(&mut self, error: &io::Error, now_ns: u64) -> usize {
        match error.raw_os_error() {
            // An answer to a packet before this one, which was not tried.
            Some(libc::ECONNREFUSED) => self.refused += 1,
            Some(libc::EAGAIN) => self.full = true,
            Some(libc::EINTR) => {}
            _ => {
                let place = self.book.len();
                self.book.sent(self.pace.sent(), now_ns);
                let in_flight = self.pace.under_way();
                self.book
                    .failed(place, now_ns, ErrorKind::of_transfer(error), in_flight);
                self.pace.back(now_ns);
                self.flow.progress.failed += 1;
                return 1;
            }
        }
        0
    }

    /// Reads what came, a batch at most; returns how many packets.
    fn receive(&mut self) -> usize {
        let received = match self.flow.socket.receive() {
            Ok(received) => received,
            Err(error) => {
                self.refused += u64::from(error.raw_os_error() == Some(libc::ECONNREFUSED));
                return 0;
            }
        };
        let now_ns = self.clock.now_ns();
        for at in 0..received {
            let bytes = self.flow.socket.packet(at);
            let read = packet::read(bytes, bytes.len(), self.flow.size, self.flow.reply, self.share.tag);
            let (count, wrong) = match read {
                Read::Right(count) => (count, false),
                Read::Wrong(count) => (count, true),
                Read::Stray => {
                    self.book.stray();
                    continue;
                }
            };
            if self.book.reply(count, wrong, now_ns, self.pace.under_way()) == Reply::First {
                self.pace.back(now_ns);
                self.flow.progress.succeeded += u64::from(!wrong);
                self.flow.progress.failed += u64::from(wrong);
            }
        }
        received
    }

    fn expire(&mut self, now_ns: u64) {
        let lost = self.book.expire(now_ns, self.share.timeout_ns, self.pace.under_way());
        self.given_up(lost, now_ns);
    }

    fn cancel(&mut self) {
        let now_ns = self.clock.now_ns();
        let cancelled = self.book.cancel(now_ns, self.pace.under_way());
        self.given_up(cancelled, now_ns);
    }

    fn given_up(&mut self, packets: u64, now_ns: u64) {
        (0..packets).for_each(|_| self.pace.back(now_ns));
        self.flow.progress.failed += packets;
    }

    /// Nothing was to be done: sleeps if nothing is to be done soon.
    fn rest(&mut self, now_ns: u64) {
        let due = self.pace.next_ns().filter(|_| !self.is_sent());
        let late = self
            .book
            .oldest_sent_ns()
            .map(|sent| sent.saturating_add(self.share.timeout_ns));
        let next_ns = due.into_iter().chain(late).min().unwrap_or(now_ns);
        let awake = self.flow.wait == Wait::Spin || now_ns.saturating_sub(self.active_ns) < SPIN_NS;
        // What is due already waits for room in the kernel.
        let sleep_ns = if self.full {
            1_000_000
        } else {
            next_ns.saturating_sub(now_ns + SPIN_NS)
        };
        if sleep_ns == 0 || (awake && !self.full) {
            self.idle_ns = Some(now_ns);
            std::hint::spin_loop();
        } else {
            self.flow
                .socket
                .wait(self.full, Duration::from_nanos(sleep_ns).min(LONGEST));
        }
    }
}
