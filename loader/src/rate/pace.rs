//! One thread's share of the schedule, and what waits for a connection.

use std::collections::VecDeque;
use std::iter::{Skip, StepBy};

use crate::call::Call;
use crate::error::ErrorKind;
use crate::http::{Carrier, Due, Ended, Pace};
use crate::plan::RatePlan;
use crate::schedule::{Arrival, Schedule};

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
    fn start(&mut self, wire: &mut impl Carrier<'a>, arrival: Arrival) -> bool {
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
    fn start_due(&mut self, wire: &mut impl Carrier<'a>, most: usize) {
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

    fn ended(&mut self, wire: &mut impl Carrier<'a>, end: Ended) {
        if let Some(token) = end.idle {
            wire.release(token);
        }
    }

    fn freed(&mut self, wire: &mut impl Carrier<'a>) {
        while let Some(arrival) = self.waiting.pop_front() {
            if !self.start(wire, arrival) {
                return self.waiting.push_front(arrival);
            }
        }
    }

    fn expire(&mut self, wire: &mut impl Carrier<'a>, now_ns: u64) {
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

    fn cancel(&mut self, wire: &mut impl Carrier<'a>, now_ns: u64) {
        self.next = None;
        for arrival in std::mem::take(&mut self.waiting) {
            wire.never_sent(self.due(arrival), now_ns, ErrorKind::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use protocol::load::Arrivals;

    use super::*;
    use crate::http::paused::{Paused, call};
    use crate::plan::Connections;

    const MS: u64 = 1_000_000;

    fn plan(rate: f64, poisson: Option<u64>, timeout_ms: u64, threads: usize) -> RatePlan {
        RatePlan {
            warm_up: Duration::from_millis(20),
            timeout: Duration::from_millis(timeout_ms),
            arrivals: poisson.map_or(Arrivals::Uniform, |_| Arrivals::Poisson),
            seed: poisson.unwrap_or_default(),
            connections: Connections::PerRequest { at_most: None },
            cpus: vec![0; threads],
            ..RatePlan::new(rate, Duration::from_millis(100))
        }
    }

    /// Of most looks none is late, of some one is by up to 30 ms.
    fn stalls() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(prop_oneof![4 => Just(0), 1 => 0..30 * MS], 1..30)
    }

    fn services() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(1..40 * MS, 1..20)
    }

    #[test]
    fn without_stalls_there_is_no_lag() {
        let (plan, call) = (plan(1000.0, None, 1000, 1), call());
        let mut wire = Paused::new(1000, true, vec![5 * MS / 2]);
        wire.run(ByRate::new(&plan, &call, 0), &[0]);
        assert_eq!(wire.sent.len(), 120);
        assert!(wire.sent.iter().all(|sent| sent.sent_ns == Some(sent.at_ns)));
        // Three are under way at a time, and so many connections were opened.
        assert_eq!(wire.most_under_way, 3);
    }

    proptest! {
        /// With room for all, whatever the stalls: each request of the schedule is sent once, in order, at the first moment at which the thread is awake
        /// after it was due, and not before. So lag is what the stalls make, exactly.
        #[test]
        fn each_is_sent_once_when_the_thread_wakes_after_it_was_due(
            rate in 1.0_f64..5000.0, poisson in prop::option::of(any::<u64>()), threads in 1_usize..4, stalls in stalls(), services in services(),
            keeps_alive in any::<bool>(),
        ) {
            let (plan, call) = (plan(rate, poisson, 1_000_000, threads), call());
            let mut all = Vec::new();
            for thread in 0..threads {
                let mut wire = Paused::new(usize::MAX, keeps_alive, services.clone());
                wire.run(ByRate::new(&plan, &call, thread), &stalls);
                prop_assert!(wire.sent.is_sorted_by_key(|sent| sent.at_ns));
                for sent in &wire.sent {
                    let woke = wire.moments.partition_point(|&moment| moment < sent.at_ns);
                    prop_assert_eq!(sent.sent_ns, Some(wire.moments[woke]));
                }
                all.extend(wire.sent);
            }
            // All threads together fire the schedule, each arrival once.
            let mut due: Vec<_> = all.iter().map(|sent| (sent.at_ns, sent.warm_up)).collect();
            due.sort_unstable();
            let schedule: Vec<_> = Schedule::new(&plan).map(|arrival| (arrival.at_ns, arrival.warm_up)).collect();
            prop_assert_eq!(due, schedule);
        }

        /// With little room requests wait in turn: none is lost, none is sent early or out of turn, no more are under way than may be, and what was given up
        /// had waited for its whole time-out.
        #[test]
        fn who_waits_for_a_connection_keeps_its_turn(
            rate in 100.0_f64..5000.0, room in 1_usize..4, timeout_ms in 1_u64..60, stalls in stalls(), services in services(), keeps_alive in any::<bool>(),
        ) {
            let (plan, call) = (plan(rate, None, timeout_ms, 1), call());
            let mut wire = Paused::new(room, keeps_alive, services);
            wire.run(ByRate::new(&plan, &call, 0), &stalls);
            prop_assert!(wire.most_under_way <= room);
            let mut due: Vec<_> = wire.sent.iter().map(|sent| sent.at_ns).collect();
            due.sort_unstable();
            prop_assert_eq!(due, Schedule::new(&plan).map(|arrival| arrival.at_ns).collect::<Vec<_>>());
            let sent: Vec<_> = wire.sent.iter().filter_map(|sent| Some((sent.at_ns, sent.sent_ns?))).collect();
            prop_assert!(sent.is_sorted());
            for (at_ns, sent_ns) in sent {
                prop_assert!((at_ns..at_ns + timeout_ms * MS).contains(&sent_ns));
            }
        }
    }
}
