//! One thread's share of the schedule, and what waits for a connection.

use std::collections::VecDeque;
use std::iter::{Skip, StepBy};

use crate::load::call::Call;
use crate::load::error::ErrorKind;
use crate::load::http::{Due, Ended, Pace, Wire};
use crate::load::plan::RatePlan;
use crate::load::schedule::{Arrival, Schedule};

/// The pace of an open loop: every n-th arrival of the schedule.
#[derive(Debug)]
pub struct ByRate<'a> {
    call: &'a Call,
    schedule: StepBy<Skip<Schedule>>,
    next: Option<Arrival>,
    /// Requests that are due but have no connection, in order of time.
    waiting: VecDeque<Arrival>,
    timeout_ns: u64,
}

impl<'a> ByRate<'a> {
    pub fn new(plan: &RatePlan, call: &'a Call, thread: usize) -> Self {
        let mut schedule = Schedule::new(plan).skip(thread).step_by(plan.threads());
        Self {
            call,
            next: schedule.next(),
            schedule,
            waiting: VecDeque::with_capacity(1024),
            timeout_ns: u64::try_from(plan.timeout.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    fn due(&self, arrival: Arrival) -> Due<'a> {
        Due {
            call: self.call,
            at_ns: arrival.at_ns,
            warm_up: arrival.warm_up,
            user: 0,
        }
    }

    /// Sends a request on an idle connection or a new one; false if there is neither.
    fn start(&mut self, wire: &mut Wire<'a>, arrival: Arrival) -> bool {
        let now_ns = wire.now_ns();
        let due = self.due(arrival);
        if arrival.at_ns + self.timeout_ns <= now_ns {
            wire.never_sent(due, now_ns, ErrorKind::NotSent);
        } else if let Some(token) = wire.take_idle() {
            wire.send(token, due);
        } else if wire.has_room() {
            wire.connect(due);
        } else {
            return false;
        }
        true
    }
}

impl<'a> Pace<'a> for ByRate<'a> {
    fn start_due(&mut self, wire: &mut Wire<'a>, most: usize) {
        for _ in 0..most {
            let Some(arrival) = self.next.filter(|arrival| arrival.at_ns <= wire.now_ns()) else {
                return;
            };
            self.next = self.schedule.next();
            // One that waits already goes first.
            if !self.waiting.is_empty() || !self.start(wire, arrival) {
                self.waiting.push_back(arrival);
            }
        }
    }

    fn ended(&mut self, wire: &mut Wire<'a>, end: Ended) {
        if let Some(token) = end.idle {
            wire.release(token);
        }
    }

    fn freed(&mut self, wire: &mut Wire<'a>) {
        while let Some(arrival) = self.waiting.pop_front() {
            if !self.start(wire, arrival) {
                return self.waiting.push_front(arrival);
            }
        }
    }

    fn expire(&mut self, wire: &mut Wire<'a>, now_ns: u64) {
        while let Some(arrival) = self
            .waiting
            .front()
            .filter(|a| a.at_ns + self.timeout_ns <= now_ns)
            .copied()
        {
            self.waiting.pop_front();
            wire.never_sent(self.due(arrival), now_ns, ErrorKind::NotSent);
        }
    }

    fn next_ns(&self) -> Option<u64> {
        self.next.map(|arrival| arrival.at_ns)
    }

    fn late_ns(&self) -> Option<u64> {
        self.waiting.front().map(|arrival| arrival.at_ns + self.timeout_ns)
    }

    fn is_over(&self) -> bool {
        self.next.is_none() && self.waiting.is_empty()
    }

    fn cancel(&mut self, wire: &mut Wire<'a>, now_ns: u64) {
        self.next = None;
        for arrival in std::mem::take(&mut self.waiting) {
            wire.never_sent(self.due(arrival), now_ns, ErrorKind::Cancelled);
        }
    }
}
