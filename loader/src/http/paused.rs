//! A carrier that only pretends, under a clock that stands still until the test moves it: what a pace makes of any course of events can be computed exactly.

use std::collections::{BTreeMap, VecDeque};

use mio::Token;

use super::{Carrier, Due, Ended, Pace};
use crate::error::ErrorKind;

/// A request that was sent, or given up before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub at_ns: u64,
    /// `None`: never.
    pub sent_ns: Option<u64>,
    pub warm_up: bool,
    pub user: u32,
}

/// The carrier.
#[derive(Debug)]
pub struct Paused {
    now_ns: u64,
    /// Connections that may be open at once.
    room: usize,
    keeps_alive: bool,
    /// How long each request takes, again and again.
    services_ns: Vec<u64>,
    idle: VecDeque<Token>,
    open: usize,
    next: usize,
    /// Requests under way by when they will be answered.
    under_way: BTreeMap<(u64, usize), u32>,
    /// Every request, in the order in which it was sent or given up.
    pub sent: Vec<Sent>,
    /// Every moment at which the pace could send.
    pub moments: Vec<u64>,
    /// Of every user, when its requests ended.
    pub ends: BTreeMap<u32, Vec<u64>>,
    pub most_under_way: usize,
}

impl Paused {
    pub fn new(room: usize, keeps_alive: bool, services_ns: Vec<u64>) -> Self {
        Self {
            now_ns: 0,
            room,
            keeps_alive,
            services_ns,
            idle: VecDeque::new(),
            open: 0,
            next: 0,
            under_way: BTreeMap::new(),
            sent: Vec::new(),
            moments: Vec::new(),
            ends: BTreeMap::new(),
            most_under_way: 0,
        }
    }

    /// The event loop of a thread that wakes exactly when it asked to, but for the stalls: after each look it is away for one of them, again and again.
    pub fn run<'a>(&mut self, mut pace: impl Pace<'a>, stalls_ns: &[u64]) {
        let mut stalls = stalls_ns.iter().copied().cycle();
        while !pace.is_over() || !self.under_way.is_empty() {
            self.moments.push(self.now_ns);
            // As often as it takes: a burst is only a matter of what is read between.
            while pace.next_ns().is_some_and(|at| at <= self.now_ns) {
                pace.start_due(self, 4);
            }
            pace.expire(self, self.now_ns);
            self.answer(&mut pace);
            let answered = self.under_way.keys().next().map(|(at, _)| *at);
            let next = [pace.next_ns(), pace.late_ns(), answered];
            let Some(wake_ns) = next.into_iter().flatten().min() else {
                continue;
            };
            self.now_ns = self.now_ns.max(wake_ns) + stalls.next().unwrap_or(0);
        }
    }

    /// Tells the pace of every answer that is there by now.
    fn answer<'a>(&mut self, pace: &mut impl Pace<'a>) {
        while let Some(entry) = self
            .under_way
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
            pace.ended(self, end);
            pace.freed(self);
        }
    }

    fn begin(&mut self, connection: usize, due: Due<'_>) {
        let service_ns = self.services_ns[self.sent.len() % self.services_ns.len()];
        self.under_way.insert((self.now_ns + service_ns, connection), due.user);
        self.most_under_way = self.most_under_way.max(self.under_way.len());
        self.note(due, Some(self.now_ns));
    }

    fn note(&mut self, due: Due<'_>, sent_ns: Option<u64>) {
        self.sent.push(Sent {
            at_ns: due.at_ns,
            sent_ns,
            warm_up: due.warm_up,
            user: due.user,
        });
    }
}

impl<'a> Carrier<'a> for Paused {
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
        self.open < self.room
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
        self.note(due, None);
    }
}

/// A call that nobody makes.
pub fn call() -> crate::call::Call {
    use crate::target::{BodyRule, Expect};
    crate::call::Call {
        address: ([127, 0, 0, 1], 1).into(),
        label: 0,
        bytes: b"GET / HTTP/1.1\r\n\r\n".as_slice().into(),
        expect: Expect {
            status: 200,
            body: BodyRule::Any,
        },
    }
}
