//! What became of each packet of a flow: pure.

use crate::error::ErrorKind;

/// A packet, as it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// When it was due, ns of the run.
    pub intended_ns: u64,
    /// When it was sent.
    pub sent_ns: u64,
    /// When its first reply came, or it was given up.
    pub done_ns: u64,
    /// Packets under way when it ended, itself included.
    pub in_flight: u32,
    /// How it ended.
    pub state: State,
}

/// How a packet ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is under way.
    UnderWay,
    /// Answered in time.
    Answered,
    /// Not answered in time.
    Lost,
    /// Answered after its time-out.
    Late,
    /// Answered wrongly, not sent, or cancelled.
    Failed(ErrorKind),
}

/// Counts of one flow, and of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Replies to packets that were answered before.
    pub duplicates: u64,
    /// First replies that came after the reply to a packet with a higher number (RFC 4737, section 3).
    pub reordered: u64,
    /// How far, in packets, the latest of them lay behind the highest number that had come.
    pub furthest_behind: u64,
    /// Packets that are no reply to this stream.
    pub stray: u64,
    /// Replies whose length or bytes were wrong.
    pub wrong: u64,
    /// All packets that were read.
    pub read: u64,
}

/// The packets of a flow, by their count.
#[derive(Debug)]
pub struct Book {
    packets: Vec<Packet>,
    /// The first packet that may still be under way.
    oldest: usize,
    /// One above the highest packet that was answered.
    beyond: usize,
    counts: Counts,
}

/// What a reply was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It ended its packet.
    First,
    /// It changed nothing but counts.
    Idle,
}

impl Book {
    /// Room for so many packets, taken before the stream.
    pub fn new(packets: usize) -> Self {
        Self {
            packets: Vec::with_capacity(packets),
            oldest: 0,
            beyond: 0,
            counts: Counts::default(),
        }
    }

    /// The next packet goes out.
    pub fn sent(&mut self, intended_ns: u64, sent_ns: u64) {
        self.packets.push(Packet {
            intended_ns,
            sent_ns,
            done_ns: 0,
            in_flight: 0,
            state: State::UnderWay,
        });
    }

    /// How many went out, or failed to.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// The packet that was sent last could not be.
    pub fn failed(&mut self, place: usize, now_ns: u64, kind: ErrorKind, in_flight: u64) {
        self.end(place, now_ns, State::Failed(kind), in_flight);
    }

    /// A packet came that is no reply to this stream.
    pub fn stray(&mut self) {
        self.counts.read += 1;
        self.counts.stray += 1;
    }

    /// A reply came to the packet with this count; `wrong`: its length or bytes are wrong.
    pub fn reply(&mut self, count: u64, wrong: bool, now_ns: u64, in_flight: u64) -> Reply {
        let place = usize::try_from(count).unwrap_or(usize::MAX);
        let Some(state) = self.packets.get(place).map(|packet| packet.state) else {
            self.stray();
            return Reply::Idle;
        };
        self.counts.read += 1;
        self.counts.wrong += u64::from(wrong);
        match state {
            State::UnderWay => {
                self.order(place);
                let state = if wrong {
                    State::Failed(ErrorKind::WrongBody)
                } else {
                    State::Answered
                };
                self.end(place, now_ns, state, in_flight);
                Reply::First
            }
            State::Lost => {
                self.order(place);
                self.packets[place].state = State::Late;
                Reply::Idle
            }
            State::Answered | State::Late | State::Failed(_) => {
                self.counts.duplicates += 1;
                Reply::Idle
            }
        }
    }

    /// Gives up what was sent `timeout_ns` ago or longer; returns how many.
    pub fn expire(&mut self, now_ns: u64, timeout_ns: u64, in_flight: u64) -> u64 {
        self.give_up(in_flight, |packet| {
            let end = packet.sent_ns.saturating_add(timeout_ns);
            (end <= now_ns).then_some((end, State::Lost))
        })
    }

    /// Gives up everything that is under way; returns how many.
    pub fn cancel(&mut self, now_ns: u64, in_flight: u64) -> u64 {
        let cancelled = State::Failed(ErrorKind::Cancelled);
        self.give_up(in_flight, |_| Some((now_ns, cancelled)))
    }

    /// When the oldest packet under way was sent.
    pub fn oldest_sent_ns(&mut self) -> Option<u64> {
        while self.packets.get(self.oldest)?.state != State::UnderWay {
            self.oldest += 1;
        }
        Some(self.packets[self.oldest].sent_ns)
    }

    /// All packets.
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Packets went out in the order of time, so the first that stays ends the look.
    fn give_up(&mut self, mut in_flight: u64, how: impl Fn(&Packet) -> Option<(u64, State)>) -> u64 {
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

    fn end(&mut self, place: usize, now_ns: u64, state: State, in_flight: u64) {
        let packet = &mut self.packets[place];
        packet.done_ns = now_ns;
        packet.in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        packet.state = state;
    }

    fn order(&mut self, place: usize) {
        if place < self.beyond {
            self.counts.reordered += 1;
            let behind = (self.beyond - 1 - place) as u64;
            self.counts.furthest_behind = self.counts.furthest_behind.max(behind);
        } else {
            self.beyond = place + 1;
        }
    }
}

impl Counts {
    /// The sum of two flows; order is a matter within a flow.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn book(packets: u64) -> Book {
        let mut book = Book::new(8);
        (0..packets).for_each(|n| book.sent(n * 10, n * 10));
        book
    }

    fn replies(packets: u64, order: &[u64]) -> Counts {
        let mut book = book(packets);
        for (at, count) in (0..).zip(order) {
            book.reply(*count, false, 1000 + at, 1);
        }
        book.counts()
    }

    /// The examples of RFC 4737 are of this kind: what is late is reordered, not what overtook it.
    #[test]
    fn a_packet_behind_a_higher_one_is_reordered() {
        assert_eq!(replies(5, &[0, 1, 2, 3, 4]).reordered, 0);
        let counts = replies(6, &[0, 2, 3, 1, 4, 5]);
        assert_eq!((counts.reordered, counts.furthest_behind), (1, 2));
        let counts = replies(5, &[4, 3, 2, 1, 0]);
        assert_eq!((counts.reordered, counts.furthest_behind), (4, 4));
        // A gap is no reordering, and neither is a duplicate.
        let counts = replies(5, &[0, 4, 4]);
        assert_eq!((counts.reordered, counts.duplicates), (0, 1));
    }

    #[test]
    fn a_packet_is_lost_at_its_time_out_and_late_after_it() {
        let mut book = book(3);
        assert_eq!(book.reply(1, false, 90, 3), Reply::First);
        assert_eq!(book.expire(99, 100, 2), 0);
        assert_eq!(book.expire(500, 100, 2), 2);
        assert_eq!(book.packets()[2].done_ns, 120);
        assert_eq!(book.packets()[2].state, State::Lost);
        assert_eq!(book.oldest_sent_ns(), None);
        assert_eq!(book.reply(0, false, 600, 0), Reply::Idle);
        assert_eq!(book.packets()[0].state, State::Late);
        assert_eq!(book.counts().reordered, 1);
        assert_eq!(book.reply(0, false, 700, 0), Reply::Idle);
        assert_eq!(book.counts().duplicates, 1);
        assert_eq!(book.reply(77, false, 700, 0), Reply::Idle);
        assert_eq!(book.counts().stray, 1);
    }

    proptest! {
        /// Whatever comes back, in whatever order and however often, every packet ends once and every reply is counted once.
        #[test]
        fn nothing_is_lost_from_the_book(packets in 1_u64..60, order in prop::collection::vec((0_u64..70, any::<bool>()), 0..200), cut in 0_u64..700) {
            let mut book = book(packets);
            let mut under_way = packets;
            for (at, (count, wrong)) in (0..).zip(&order) {
                if at == order.len() as u64 / 2 {
                    under_way -= book.expire(cut, 100, under_way);
                }
                let first = book.reply(*count, *wrong, 800 + at, under_way) == Reply::First;
                under_way -= u64::from(first);
            }
            under_way -= book.expire(u64::MAX, 100, under_way);
            prop_assert_eq!(under_way, 0);
            let of = |wanted: fn(&State) -> bool| book.packets().iter().filter(|p| wanted(&p.state)).count() as u64;
            let ended = of(|s| !matches!(s, State::UnderWay));
            prop_assert_eq!(ended, packets);
            let counts = book.counts();
            prop_assert_eq!(counts.read, order.len() as u64);
            let firsts = of(|s| matches!(s, State::Answered | State::Late | State::Failed(_)));
            prop_assert_eq!(counts.read, firsts + counts.duplicates + counts.stray);
            prop_assert!(counts.reordered <= firsts);
        }
    }
}
