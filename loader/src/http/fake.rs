//! A fake transport with a simulated clock: the behaviour of a pacer in any sequence of events can be computed exactly.

use std::collections::{BTreeMap, VecDeque};

use mio::Token;

use super::pacer::{Due, Ended, Pacer, Transport};
use crate::error::ErrorKind;

/// A request that was sent, or that timed out before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub at_ns: u64,
    /// `None`: never sent.
    pub sent_ns: Option<u64>,
    pub warm_up: bool,
    pub user: u32,
}

/// The fake transport.
#[derive(Debug)]
pub struct FakeTransport {
    now_ns: u64,
    /// Maximum number of open connections.
    max_open: usize,
    keeps_alive: bool,
    /// Service times of successive requests, repeated cyclically.
    service_ns: Vec<u64>,
    idle: VecDeque<Token>,
    open: usize,
    next: usize,
    /// Outstanding requests by completion time.
    outstanding: BTreeMap<(u64, usize), u32>,
    /// All requests, in the order in which they were sent or timed out.
    pub sent: Vec<Sent>,
    /// All times at which the pacer could send.
    pub wakeups: Vec<u64>,
    /// Completion times of the requests of each user.
    pub ends: BTreeMap<u32, Vec<u64>>,
    pub max_outstanding: usize,
}

impl FakeTransport {
    pub fn new(max_open: usize, keeps_alive: bool, service_ns: Vec<u64>) -> Self {
        Self {
            now_ns: 0,
            max_open,
            keeps_alive,
            service_ns,
            idle: VecDeque::new(),
            open: 0,
            next: 0,
            outstanding: BTreeMap::new(),
            sent: Vec::new(),
            wakeups: Vec::new(),
            ends: BTreeMap::new(),
            max_outstanding: 0,
        }
    }

    /// The event loop of a thread that wakes exactly on time, except for stalls: each wake-up is delayed by the next stall, cyclically.
    pub fn run<'a>(&mut self, mut pacer: impl Pacer<'a>, stalls_ns: &[u64]) {
        let mut stalls = stalls_ns.iter().copied().cycle();
        while !pacer.is_done() || !self.outstanding.is_empty() {
            self.wakeups.push(self.now_ns);
            // Bursts only affect when replies are read in between.
            while pacer.next_ns().is_some_and(|at| at <= self.now_ns) {
                pacer.start_due(self, 4);
            }
            pacer.expire(self, self.now_ns);
            self.answer(&mut pacer);
            let answered = self.outstanding.keys().next().map(|(at, _)| *at);
            let next = [pacer.next_ns(), pacer.next_expiry_ns(), answered];
            let Some(wake_ns) = next.into_iter().flatten().min() else {
                continue;
            };
            self.now_ns = self.now_ns.max(wake_ns) + stalls.next().unwrap_or(0);
        }
    }

    /// Reports all requests that have completed by now.
    fn answer<'a>(&mut self, pacer: &mut impl Pacer<'a>) {
        while let Some(entry) = self
            .outstanding
            .first_entry()
            .filter(|entry| entry.key().0 <= self.now_ns)
        {
            let ((_, connection), user) = entry.remove_entry();
            self.ends.entry(user).or_default().push(self.now_ns);
            self.open -= usize::from(!self.keeps_alive);
            let end = Ended {
                user,
                idle: self.keeps_alive.then_some(Token(connection)),
                error: None,
                at_ns: self.now_ns,
            };
            pacer.ended(self, end);
            pacer.freed(self);
        }
    }

    fn begin(&mut self, connection: usize, due: Due<'_>) {
        let service_ns = self.service_ns[self.sent.len() % self.service_ns.len()];
        self.outstanding
            .insert((self.now_ns + service_ns, connection), due.user);
        self.max_outstanding = self.max_outstanding.max(self.outstanding.len());
        self.record(due, Some(self.now_ns));
    }

    fn record(&mut self, due: Due<'_>, sent_ns: Option<u64>) {
        self.sent.push(Sent {
            at_ns: due.at_ns,
            sent_ns,
            warm_up: due.warm_up,
            user: due.user,
        });
    }
}

impl<'a> Transport<'a> for FakeTransport {
    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn take_idle(&mut self) -> Option<Token> {
        self.idle.pop_front()
    }

    fn release(&mut self, token: Token) {
        self.idle.push_back(token);
    }

    fn has_room(&self) -> bool {
        self.open < self.max_open
    }

    fn send(&mut self, token: Token, due: Due<'a>) -> bool {
        self.begin(token.0, due);
        true
    }

    fn connect(&mut self, due: Due<'a>) {
        self.open += 1;
        self.next += 1;
        self.begin(self.next, due);
    }

    fn never_sent(&mut self, due: Due<'a>, _: u64, kind: ErrorKind) {
        assert_eq!(kind, ErrorKind::NotSent);
        self.record(due, None);
    }
}

/// An arbitrary call.
pub fn call() -> crate::call::Call {
    use crate::target::{BodyRule, Expect};
    crate::call::Call {
        address: ([127, 0, 0, 1], 1).into(),
        label: 0,
        bytes: b"GET / HTTP/1.1\r\n\r\n".to_vec().into(),
        expect: Expect::ok(BodyRule::Any),
    }
}
