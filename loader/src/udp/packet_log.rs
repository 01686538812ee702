//! The log of a flow: the state of every packet, and its conversion to requests. Pure.

use super::packet::NUMBER_BYTES;
use crate::error::ErrorKind;
use crate::log::LogWriter;
use crate::request::Request;
use crate::tally::Tally;

/// The record of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Scheduled time, ns of the run.
    pub intended_ns: u64,
    /// When it was sent.
    pub sent_ns: u64,
    /// When its first reply arrived, or when it failed.
    pub done_ns: u64,
    /// Outstanding packets when it ended, including itself.
    pub in_flight: u32,
    /// Its state.
    pub state: State,
}

/// The state of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Outstanding.
    Outstanding,
    /// Answered within the time-out.
    Answered,
    /// Not answered within the time-out.
    Lost,
    /// Answered after the time-out.
    Late,
    /// Answered incorrectly, not sent, or cancelled.
    Failed(ErrorKind),
}

/// Counts of one or all flows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Repeated replies to the same packet.
    pub duplicates: u64,
    /// First replies that arrived after the reply to a later packet (RFC 4737, section 3).
    pub reordered: u64,
    /// The maximum reordering extent, packets.
    pub furthest_behind: u64,
    /// Packets that are not replies to this stream.
    pub stray: u64,
    /// Replies with incorrect length or content.
    pub wrong: u64,
    /// All packets received.
    pub read: u64,
}

/// The packets of a flow, indexed by count.
#[derive(Debug)]
pub struct PacketLog {
    packets: Vec<Packet>,
    /// Index of the first packet that may be outstanding.
    oldest: usize,
    /// One above the highest index that was answered.
    next_expected: usize,
    counts: Counts,
}

/// The effect of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It was the first reply to an outstanding packet.
    First,
    /// It was only counted.
    Counted,
}

impl PacketLog {
    /// Allocates a log for a number of packets, in advance.
    pub fn new(packets: usize) -> Self {
        Self {
            packets: Vec::with_capacity(packets),
            oldest: 0,
            next_expected: 0,
            counts: Counts::default(),
        }
    }

    /// Records that the next packet is sent.
    pub fn sent(&mut self, intended_ns: u64, sent_ns: u64) {
        self.packets.push(Packet {
            intended_ns,
            sent_ns,
            done_ns: 0,
            in_flight: 0,
            state: State::Outstanding,
        });
    }

    /// Number of packets sent, including those that failed to be.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Records that a packet could not be sent.
    pub fn failed(&mut self, index: usize, now_ns: u64, kind: ErrorKind, in_flight: u64) {
        self.end(index, now_ns, State::Failed(kind), in_flight);
    }

    /// Records a packet that is not a reply to this stream.
    pub fn stray(&mut self) {
        self.counts.read += 1;
        self.counts.stray += 1;
    }

    /// Records a reply to the packet with this count; `wrong`: its length or content is incorrect.
    pub fn reply(&mut self, count: u64, wrong: bool, now_ns: u64, in_flight: u64) -> Reply {
        let index = usize::try_from(count).unwrap_or(usize::MAX);
        let Some(state) = self.packets.get(index).map(|packet| packet.state) else {
            self.stray();
            return Reply::Counted;
        };
        self.counts.read += 1;
        self.counts.wrong += u64::from(wrong);
        match state {
            State::Outstanding => {
                self.check_order(index);
                let state = if wrong {
                    State::Failed(ErrorKind::WrongBody)
                } else {
                    State::Answered
                };
                self.end(index, now_ns, state, in_flight);
                Reply::First
            }
            State::Lost => {
                self.check_order(index);
                self.packets[index].state = State::Late;
                Reply::Counted
            }
            State::Answered | State::Late | State::Failed(_) => {
                self.counts.duplicates += 1;
                Reply::Counted
            }
        }
    }

    /// Fails packets that were sent at least `timeout_ns` ago; returns how many.
    pub fn expire(&mut self, now_ns: u64, timeout_ns: u64, in_flight: u64) -> u64 {
        self.fail_oldest(in_flight, |packet| {
            let end = packet.sent_ns.saturating_add(timeout_ns);
            (end <= now_ns).then_some((end, State::Lost))
        })
    }

    /// Fails all outstanding packets; returns how many.
    pub fn cancel(&mut self, now_ns: u64, in_flight: u64) -> u64 {
        let cancelled = State::Failed(ErrorKind::Cancelled);
        self.fail_oldest(in_flight, |_| Some((now_ns, cancelled)))
    }

    /// When the oldest outstanding packet was sent.
    pub fn oldest_sent_ns(&mut self) -> Option<u64> {
        while self.packets.get(self.oldest)?.state != State::Outstanding {
            self.oldest += 1;
        }
        Some(self.packets[self.oldest].sent_ns)
    }

    /// All packets.
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    /// The counts.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Fails the oldest outstanding packets while `how` returns their end. Packets are sent in order of time.
    fn fail_oldest(&mut self, mut in_flight: u64, how: impl Fn(&Packet) -> Option<(u64, State)>) -> u64 {
        let before = in_flight;
        while self.oldest_sent_ns().is_some() {
            let Some((end_ns, state)) = how(&self.packets[self.oldest]) else {
                break;
            };
            self.end(self.oldest, end_ns, state, in_flight);
            in_flight -= 1;
        }
        before - in_flight
    }

    fn end(&mut self, index: usize, now_ns: u64, state: State, in_flight: u64) {
        let packet = &mut self.packets[index];
        packet.done_ns = now_ns;
        packet.in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        packet.state = state;
    }

    fn check_order(&mut self, index: usize) {
        if index < self.next_expected {
            self.counts.reordered += 1;
            let behind = (self.next_expected - 1 - index) as u64;
            self.counts.furthest_behind = self.counts.furthest_behind.max(behind);
        } else {
            self.next_expected = index + 1;
        }
    }
}

impl Counts {
    /// Adds the counts of another flow; reordering is defined within a flow.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            duplicates: self.duplicates + other.duplicates,
            reordered: self.reordered + other.reordered,
            furthest_behind: self.furthest_behind.max(other.furthest_behind),
            stray: self.stray + other.stray,
            wrong: self.wrong + other.wrong,
            read: self.read + other.read,
        }
    }
}

/// Sizes of a packet and its reply, bytes.
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    /// Size of a packet.
    pub out: usize,
    /// Size of a correct reply.
    pub back: usize,
}

/// Records all packets of a flow as requests, in completion order.
pub fn record_all(
    packets: &PacketLog,
    (thread, bytes): (usize, Bytes),
    warm_up: bool,
    tally: &mut Tally,
    log: &mut LogWriter,
) {
    let packets = packets.packets();
    let mut by_end: Vec<&Packet> = packets.iter().collect();
    by_end.sort_by_key(|packet| packet.done_ns);
    let mut sent = packets.iter().peekable();
    for packet in by_end {
        // Little's law needs both in order of time.
        while sent.next_if(|next| next.sent_ns <= packet.done_ns).is_some_and(|next| {
            tally.sent(next.sent_ns);
            true
        }) {}
        let request = request(packet, thread, bytes, warm_up);
        tally.record(&request);
        log.push(&request);
    }
}

fn request(packet: &Packet, thread: usize, bytes: Bytes, warm_up: bool) -> Request {
    let error = match packet.state {
        State::Answered => None,
        State::Lost | State::Late => Some(ErrorKind::Timeout),
        State::Outstanding => Some(ErrorKind::Cancelled),
        State::Failed(kind) => Some(kind),
    };
    let answered = error.is_none();
    Request {
        intended_ns: packet.intended_ns,
        sent_ns: Some(packet.sent_ns),
        connected_ns: None,
        first_byte_ns: answered.then_some(packet.done_ns),
        done_ns: packet.done_ns,
        label: 0,
        status: 0,
        bytes_in: if answered { bytes.back as u64 } else { 0 },
        bytes_out: bytes.out.max(NUMBER_BYTES) as u64,
        connection: 0,
        thread: u8::try_from(thread).unwrap_or(u8::MAX),
        in_flight: packet.in_flight,
        error,
        warm_up,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(packets: u64) -> PacketLog {
        let mut log = PacketLog::new(8);
        (0..packets).for_each(|n| log.sent(n * 10, n * 10));
        log
    }

    fn replies(packets: u64, order: &[u64]) -> Counts {
        let mut log = log(packets);
        for (at, count) in (0..).zip(order) {
            log.reply(*count, false, 1000 + at, 1);
        }
        log.counts()
    }

    /// As in RFC 4737, the packet that arrives late is reordered, not the one that overtook it.
    #[test]
    fn a_packet_after_a_later_one_is_reordered() {
        assert_eq!(replies(5, &[0, 1, 2, 3, 4]).reordered, 0);
        let counts = replies(6, &[0, 2, 3, 1, 4, 5]);
        assert_eq!((counts.reordered, counts.furthest_behind), (1, 2));
        let counts = replies(5, &[4, 3, 2, 1, 0]);
        assert_eq!((counts.reordered, counts.furthest_behind), (4, 4));
        // Neither a gap nor a duplicate is reordering.
        let counts = replies(5, &[0, 4, 4]);
        assert_eq!((counts.reordered, counts.duplicates), (0, 1));
    }

    #[test]
    fn a_packet_is_lost_at_its_timeout_and_late_after_it() {
        let mut log = log(3);
        assert_eq!(log.reply(1, false, 90, 3), Reply::First);
        assert_eq!(log.expire(99, 100, 2), 0);
        assert_eq!(log.expire(500, 100, 2), 2);
        assert_eq!(log.packets()[2].done_ns, 120);
        assert_eq!(log.packets()[2].state, State::Lost);
        assert_eq!(log.oldest_sent_ns(), None);
        assert_eq!(log.reply(0, false, 600, 0), Reply::Counted);
        assert_eq!(log.packets()[0].state, State::Late);
        assert_eq!(log.counts().reordered, 1);
        assert_eq!(log.reply(0, false, 700, 0), Reply::Counted);
        assert_eq!(log.counts().duplicates, 1);
        assert_eq!(log.reply(77, false, 700, 0), Reply::Counted);
        assert_eq!(log.counts().stray, 1);
    }

    proptest! {
        /// For any replies in any order.
        #[test]
        fn every_packet_ends_once_and_every_reply_counts_once(packets in 1_u64..60, order in prop::collection::vec((0_u64..70, any::<bool>()), 0..200), cut in 0_u64..700) {
            let mut log = log(packets);
            let mut outstanding = packets;
            for (at, (count, wrong)) in (0..).zip(&order) {
                if at == order.len() as u64 / 2 {
                    outstanding -= log.expire(cut, 100, outstanding);
                }
                let first = log.reply(*count, *wrong, 800 + at, outstanding) == Reply::First;
                outstanding -= u64::from(first);
            }
            outstanding -= log.expire(u64::MAX, 100, outstanding);
            prop_assert_eq!(outstanding, 0);
            let of = |wanted: fn(&State) -> bool| log.packets().iter().filter(|p| wanted(&p.state)).count() as u64;
            let ended = of(|s| !matches!(s, State::Outstanding));
            prop_assert_eq!(ended, packets);
            let counts = log.counts();
            prop_assert_eq!(counts.read, order.len() as u64);
            let firsts = of(|s| matches!(s, State::Answered | State::Late | State::Failed(_)));
            prop_assert_eq!(counts.read, firsts + counts.duplicates + counts.stray);
            prop_assert!(counts.reordered <= firsts);
        }
    }
}
