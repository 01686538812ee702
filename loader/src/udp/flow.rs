//! A flow: one thread with one socket that sends packets when they are due, receives replies, and times out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::load::{Usage, Wait};

use super::packet::{self, Read};
use super::packet_log::{PacketLog, Reply};
use super::plan::{UdpPlan, UdpReply};
use super::socket::{BATCH, Socket};
use super::stream::StreamSpec;
use crate::clock::Clock;
use crate::control::{Control, Progress};
use crate::cpu::{Schedstat, pin};
use crate::error::{ErrorKind, LoadError};

/// The thread busy-polls instead of sleeping for this long before the next deadline and after activity.
const SPIN_NS: u64 = 50_000;
/// Maximum sleep, so that cancellation is noticed.
const MAX_SLEEP: Duration = Duration::from_millis(20);

/// A flow, reused for every stream.
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

/// The results of one flow of a stream.
#[derive(Debug)]
pub struct FlowResult {
    /// The state of each packet.
    pub log: PacketLog,
    /// ICMP port unreachable errors.
    pub refused: u64,
    /// Packets dropped by the kernel at the socket.
    pub dropped: Option<u64>,
    /// CPU usage of the thread.
    pub usage: Usage,
}

/// A running stream.
struct Stream<'a> {
    flow: &'a mut Flow,
    spec: StreamSpec,
    clock: Clock,
    pacer: Pacer,
    log: PacketLog,
    refused: u64,
    /// Whether the send buffer was full.
    full: bool,
    /// Time of the last activity.
    active_ns: u64,
    /// Since when the thread has been busy-polling.
    idle_ns: Option<u64>,
    /// Time spent busy-polling, ns.
    spun_ns: u64,
}

impl Flow {
    /// Opens the socket of a flow.
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

    /// Sends its share of a stream, and waits for all replies or time-outs.
    pub fn run(&mut self, spec: StreamSpec, clock: Clock, control: &Control) -> Result<FlowResult, LoadError> {
        if let Some(cpu) = self.cpu {
            pin(cpu)?;
        }
        let (before, dropped) = (Schedstat::of_this_thread(), self.socket.dropped());
        let began_ns = clock.now_ns();
        let mut stream = Stream {
            spec,
            clock,
            pacer: Pacer::new(spec.start_ns, spec.pace_ns, spec.window),
            log: PacketLog::new(usize::try_from(spec.packets).unwrap_or(usize::MAX)),
            refused: 0,
            full: false,
            active_ns: 0,
            idle_ns: None,
            spun_ns: 0,
            flow: self,
        };
        stream.run(control);
        let (log, refused, spun_ns) = (stream.log, stream.refused, stream.spun_ns);
        let wall_ns = clock.now_ns() - began_ns;
        Ok(FlowResult {
            log,
            refused,
            dropped: dropped.and_then(|before| Some(self.socket.dropped()?.saturating_sub(before))),
            usage: Schedstat::of_this_thread().since(before, wall_ns, spun_ns),
        })
    }
}

impl Stream<'_> {
    fn run(&mut self, control: &Control) {
        let progress = control.thread(self.flow.thread);
        while !self.is_done() {
            if control.is_cancelled() {
                self.cancel();
                break;
            }
            let moved = self.send() + self.receive();
            let now_ns = self.clock.now_ns();
            self.expire(now_ns);
            progress.publish(self.flow.progress);
            let since_ns = self.idle_ns.take();
            if moved > 0 {
                self.active_ns = now_ns;
            } else {
                self.spun_ns += since_ns.map_or(0, |since| now_ns.saturating_sub(since));
                self.wait(now_ns);
            }
        }
        progress.publish(self.flow.progress);
    }

    fn is_done(&self) -> bool {
        self.all_sent() && self.pacer.outstanding() == 0
    }

    fn all_sent(&self) -> bool {
        self.log.len() as u64 == self.spec.packets
    }

    /// Sends packets that are due, at most a batch; returns how many.
    fn send(&mut self) -> usize {
        let now_ns = self.clock.now_ns();
        // Works on a copy of the pacer: the system call determines how many of the batch are sent.
        let (mut pacer, mut due) = (self.pacer, 0);
        let left = usize::try_from(self.spec.packets - self.log.len() as u64).unwrap_or(usize::MAX);
        while due < left.min(BATCH) && pacer.next_ns().is_some_and(|at| at <= now_ns) {
            pacer.sent();
            due += 1;
        }
        if due == 0 {
            return 0;
        }
        let first = self.log.len() as u64;
        match self.flow.socket.send(self.spec.tag, first, due) {
            Ok(sent) => {
                (0..sent).for_each(|_| self.log.sent(self.pacer.sent(), now_ns));
                self.flow.progress.sent += sent as u64;
                self.full = false;
                sent
            }
            Err(error) => self.send_failed(&error, now_ns),
        }
    }

    /// Handles a failure to send the first packet of a batch.
    fn send_failed(&mut self, error: &io::Error, now_ns: u64) -> usize {
        match error.raw_os_error() {
            // The error concerns an earlier packet; this one was not sent.
            Some(libc::ECONNREFUSED) => self.refused += 1,
            Some(libc::EAGAIN) => self.full = true,
            Some(libc::EINTR) => {}
            _ => {
                let index = self.log.len();
                self.log.sent(self.pacer.sent(), now_ns);
                let in_flight = self.pacer.outstanding();
                self.log.failed(index, now_ns, ErrorKind::of_transfer(error), in_flight);
                self.pacer.ended(now_ns);
                self.flow.progress.failed += 1;
                return 1;
            }
        }
        0
    }

    /// Receives packets, at most a batch; returns how many.
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
            let read = packet::read(bytes, bytes.len(), self.flow.size, self.flow.reply, self.spec.tag);
            let (count, wrong) = match read {
                Read::Correct(count) => (count, false),
                Read::Wrong(count) => (count, true),
                Read::Stray => {
                    self.log.stray();
                    continue;
                }
            };
            if self.log.reply(count, wrong, now_ns, self.pacer.outstanding()) == Reply::First {
                self.pacer.ended(now_ns);
                self.flow.progress.succeeded += u64::from(!wrong);
                self.flow.progress.failed += u64::from(wrong);
            }
        }
        received
    }

    fn expire(&mut self, now_ns: u64) {
        let lost = self.log.expire(now_ns, self.spec.timeout_ns, self.pacer.outstanding());
        self.record_failed(lost, now_ns);
    }

    fn cancel(&mut self) {
        let now_ns = self.clock.now_ns();
        let cancelled = self.log.cancel(now_ns, self.pacer.outstanding());
        self.record_failed(cancelled, now_ns);
    }

    fn record_failed(&mut self, packets: u64, now_ns: u64) {
        (0..packets).for_each(|_| self.pacer.ended(now_ns));
        self.flow.progress.failed += packets;
    }

    /// Sleeps if the next deadline is not imminent.
    fn wait(&mut self, now_ns: u64) {
        let due = self.pacer.next_ns().filter(|_| !self.all_sent());
        let expiry = self
            .log
            .oldest_sent_ns()
            .map(|sent| sent.saturating_add(self.spec.timeout_ns));
        let next_ns = due.into_iter().chain(expiry).min().unwrap_or(now_ns);
        let awake = self.flow.wait == Wait::Spin || now_ns.saturating_sub(self.active_ns) < SPIN_NS;
        // A packet that is due waits for room in the send buffer.
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
                .wait(self.full, Duration::from_nanos(sleep_ns).min(MAX_SLEEP));
        }
    }
}

/// Decides when the packets of one flow are due.
///
/// In an open loop, packet n is due at `start + n × pace`, regardless of replies. With a window, a packet is due when a slot of the window becomes free, and
/// the pace continues from there; packets that were delayed by the window are not caught up on.
#[derive(Debug, Clone, Copy)]
pub struct Pacer {
    /// When the next packet is due, if the window is not full.
    next_ns: u64,
    pace_ns: u64,
    /// Size of the window; `u64::MAX`: open loop.
    window: u64,
    outstanding: u64,
}

impl Pacer {
    /// For a stream that begins at `start_ns`.
    pub fn new(start_ns: u64, pace_ns: u64, window: Option<u64>) -> Self {
        Self {
            next_ns: start_ns,
            pace_ns,
            window: window.unwrap_or(u64::MAX),
            outstanding: 0,
        }
    }

    /// When the next packet is due; `None`: the window is full.
    pub fn next_ns(&self) -> Option<u64> {
        (self.outstanding < self.window).then_some(self.next_ns)
    }

    /// Records that a packet is sent; returns when it was due.
    pub fn sent(&mut self) -> u64 {
        let due = self.next_ns;
        self.next_ns += self.pace_ns;
        self.outstanding += 1;
        due
    }

    /// Records that a packet was answered or failed.
    pub fn ended(&mut self, now_ns: u64) {
        if self.outstanding == self.window {
            self.next_ns = self.next_ns.max(now_ns);
        }
        self.outstanding -= 1;
    }

    /// Outstanding packets.
    pub fn outstanding(&self) -> u64 {
        self.outstanding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_ignores_replies() {
        let mut pacer = Pacer::new(100, 7, None);
        let due: Vec<_> = (0..4).map(|_| pacer.sent()).collect();
        assert_eq!(due, [100, 107, 114, 121]);
        pacer.ended(5000);
        assert_eq!(pacer.next_ns(), Some(128));
    }

    #[test]
    fn a_full_window_shifts_the_pace() {
        let mut pacer = Pacer::new(0, 10, Some(2));
        assert_eq!((pacer.sent(), pacer.sent(), pacer.next_ns()), (0, 10, None));
        pacer.ended(500);
        assert_eq!(pacer.next_ns(), Some(500));
        assert_eq!((pacer.sent(), pacer.next_ns()), (500, None));
        pacer.ended(505);
        // The pace is kept although a slot was free earlier.
        assert_eq!(pacer.next_ns(), Some(510));
        assert_eq!(pacer.outstanding(), 1);
    }
}
