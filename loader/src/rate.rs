//! The open-loop engine: requests at a fixed rate, regardless of replies.

use std::collections::VecDeque;
use std::iter::{Skip, StepBy};
use std::time::Duration;

use protocol::load::{Arrivals, Wait};

use super::Engine;
use super::call::{Call, CallBytes};
use super::calls::Calls;
use super::clock::nanos;
use super::control::{Control, MAX_THREADS};
use super::error::{ErrorKind, LoadError};
use super::http::{Due, Ended, Pacer, Setup, Transport, share, window};
use super::outcome::Outcome;
use super::part::Part;
use super::schedule::{Arrival, Schedule};
use super::target::Target;

/// The engine `rate`.
#[derive(Debug, Clone)]
pub struct Rate {
    plan: RatePlan,
    calls: Calls,
    /// The order of the calls, which repeats.
    script: Vec<u32>,
}

impl Rate {
    /// Checks the plan and builds the engine for a plain GET.
    ///
    /// # Errors
    /// Problems of the plan or the target.
    pub fn new(plan: RatePlan, target: &Target) -> Result<Self, LoadError> {
        let calls = Calls::get(target, plan.keeps_alive())?;
        Self::of_calls(plan, calls)
    }

    /// Checks the plan and builds the engine for these calls.
    ///
    /// # Errors
    /// Problems of the plan.
    pub fn of_calls(plan: RatePlan, calls: Calls) -> Result<Self, LoadError> {
        plan.check()?;
        let script = calls.open_script();
        Ok(Self { plan, calls, script })
    }

    fn setup(&self) -> Setup {
        let plan = &self.plan;
        Setup {
            cpus: plan.cpus.clone(),
            timeout: plan.timeout,
            spin: plan.spin,
            real_time: plan.real_time,
            wait: plan.wait,
            keeps_alive: plan.keeps_alive(),
            max_connections: plan.max_connections(),
            window: window(plan.warm_up, plan.duration),
            labels: self.calls.labels.clone(),
            tls: self.calls.tls.clone(),
            templates: CallBytes::any_template(&self.calls.calls),
        }
    }
}

impl Engine for Rate {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let (setup, threads) = (self.setup(), self.plan.threads());
        let calls = self.calls.calls.as_slice();
        let address = calls.first().map(|call| call.address);
        setup.run(control, |thread, transport| {
            if let (Connections::KeepAlive { pool, .. }, Some(address)) = (self.plan.connections, address) {
                transport.fill_pool(address, share(pool.into(), thread, threads));
            }
            RatePacer::new(&self.plan, (calls, &self.script), thread)
        })
    }
}

/// The plan of an open-loop load.
#[derive(Debug, Clone, PartialEq)]
pub struct RatePlan {
    /// Requests per second.
    pub rate_per_s: f64,
    /// Warm-up under the same load before the measurement window.
    pub warm_up: Duration,
    /// The measurement window.
    pub duration: Duration,
    /// Time-out of a request from its *scheduled* time.
    pub timeout: Duration,
    /// The arrival process.
    pub arrivals: Arrivals,
    /// Seed of random arrivals; the same seed gives the same times.
    pub seed: u64,
    /// How connections are used.
    pub connections: Connections,
    /// The part of the requests that this machine sends; connection limits are per machine.
    pub part: Part,
    /// CPUs to pin to, one thread each; empty: one thread, not pinned.
    pub cpus: Vec<usize>,
    /// Initial lead time with which a thread wakes and busy-polls before a request is due.
    ///
    /// It then adapts to the wake-up latency of the thread, up to 250 us and a fifth of a CPU. Zero: always sleeps until the due time.
    pub spin: Duration,
    /// Whether sleeping threads use real-time scheduling, if permitted, so that other threads do not delay them.
    ///
    /// A thread that keeps its CPU busy for more than half of the time returns to normal scheduling, since it would starve other threads.
    pub real_time: bool,
    /// Whether threads sleep.
    pub wait: Wait,
}

/// How connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// One connection per request; the server is asked to close it after the reply.
    ///
    /// The `TIME_WAIT` state is then on the server, and a local port is in use only as long as its request. If the server does not close the connection
    /// within 0.5 s, or if the request failed, the connection is reset.
    PerRequest {
        /// Maximum number of open connections; further requests wait, which shows as lag. `None`: rate × time-out, which an open loop cannot exceed.
        at_most: Option<u32>,
    },
    /// Persistent connections with one outstanding request each.
    KeepAlive {
        /// Connections opened before the run.
        pool: u32,
        /// Maximum number of open connections; further requests wait, which shows as lag.
        at_most: u32,
    },
}

/// Default lead time: keeps the p99 of the lag below 50 us on machines with a lower wake-up latency.
pub const DEFAULT_SPIN: Duration = Duration::from_micros(50);

impl RatePlan {
    /// A plan with uniform arrivals, one connection per request, no warm-up and a time-out of 2 s.
    #[must_use]
    pub fn new(rate_per_s: f64, duration: Duration) -> Self {
        Self {
            rate_per_s,
            warm_up: Duration::ZERO,
            duration,
            timeout: Duration::from_secs(2),
            arrivals: Arrivals::Uniform,
            seed: 0,
            connections: Connections::PerRequest { at_most: None },
            part: Part::WHOLE,
            cpus: Vec::new(),
            spin: DEFAULT_SPIN,
            real_time: true,
            wait: Wait::Sleep,
        }
    }

    /// Checks the plan, independently of the machine.
    pub fn check(&self) -> Result<(), LoadError> {
        if !(self.rate_per_s > 0.0 && self.rate_per_s <= 1e9) {
            return Err(LoadError::Rate(self.rate_per_s));
        }
        check_time("the duration", self.duration, false)?;
        check_time("the warm-up", self.warm_up, true)?;
        check_time("the time-out", self.timeout, false)?;
        check_time("the spin", self.spin, true)?;
        match self.connections {
            Connections::KeepAlive { pool, at_most } if at_most == 0 || pool > at_most => {
                Err(LoadError::Pool { pool, at_most })
            }
            Connections::PerRequest { at_most: Some(0) } => Err(LoadError::Pool { pool: 0, at_most: 0 }),
            _ if self.cpus.len() > MAX_THREADS => Err(LoadError::Threads(self.cpus.len())),
            _ => Ok(()),
        }
    }

    /// Number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.cpus.len().max(1)
    }

    /// Maximum number of open connections over all threads.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive; `as` saturates"
    )]
    pub fn max_connections(&self) -> u64 {
        let rate_per_s = self.rate_per_s / f64::from(self.part.of());
        let unbounded = (rate_per_s * self.timeout.as_secs_f64()).ceil() as u64 + 1;
        match self.connections {
            Connections::PerRequest { at_most } => at_most.map_or(unbounded, |max| unbounded.min(max.into())),
            Connections::KeepAlive { at_most, .. } => at_most.into(),
        }
    }

    /// Whether connections carry more than one request.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        matches!(self.connections, Connections::KeepAlive { .. })
    }
}

/// Maximum duration in a plan: one day, so that sums in ns cannot overflow.
const MAX_DURATION: Duration = Duration::from_secs(86_400);

/// Checks a duration of a plan; `zero`: whether it may be zero.
pub(super) fn check_time(name: &'static str, value: Duration, zero: bool) -> Result<(), LoadError> {
    if value > MAX_DURATION {
        return Err(LoadError::Time {
            name,
            value,
            must: "at most a day",
        });
    }
    if value.is_zero() && !zero {
        return Err(LoadError::Time {
            name,
            value,
            must: "positive",
        });
    }
    Ok(())
}

/// The pacer of an open loop: one thread's share of the schedule, and the requests that wait for a connection.
#[derive(Debug)]
pub struct RatePacer<'a> {
    calls: &'a [Call],
    /// Indices of calls; that of request `n` is at `n` modulo its length.
    script: &'a [u32],
    schedule: StepBy<Skip<Schedule>>,
    next: Option<Arrival>,
    /// Requests that are due but have no connection, in scheduled order.
    waiting: VecDeque<Arrival>,
    timeout_ns: u64,
}

impl<'a> RatePacer<'a> {
    pub fn new(plan: &RatePlan, (calls, script): (&'a [Call], &'a [u32]), thread: usize) -> Self {
        let mut schedule = Schedule::new(plan).skip(thread).step_by(plan.threads());
        Self {
            calls,
            script,
            next: schedule.next(),
            schedule,
            waiting: VecDeque::with_capacity(1024),
            timeout_ns: nanos(plan.timeout),
        }
    }

    fn due(&self, arrival: Arrival) -> Due<'a> {
        Due {
            call: self.call(arrival.number),
            number: arrival.number,
            at_ns: arrival.at_ns,
            warm_up: arrival.warm_up,
            user: 0,
        }
    }

    fn call(&self, number: u64) -> &'a Call {
        match self.calls {
            [only] => only,
            calls => {
                let place = number % self.script.len().max(1) as u64;
                &calls[self.script[usize::try_from(place).unwrap_or_default()] as usize]
            }
        }
    }

    /// Sends a request on an idle or new connection; `false`: neither is available.
    fn start(&mut self, transport: &mut impl Transport<'a>, arrival: Arrival) -> bool {
        let now_ns = transport.now_ns();
        let due = self.due(arrival);
        if arrival.at_ns + self.timeout_ns <= now_ns {
            transport.never_sent(due, now_ns, ErrorKind::NotSent);
        } else if let Some(token) = transport.take_idle() {
            transport.send(token, due);
        } else if transport.has_room() {
            transport.connect(due);
        } else {
            return false;
        }
        true
    }
}

impl<'a> Pacer<'a> for RatePacer<'a> {
    fn start_due(&mut self, transport: &mut impl Transport<'a>, max: usize) {
        for _ in 0..max {
            let Some(arrival) = self.next.filter(|arrival| arrival.at_ns <= transport.now_ns()) else {
                return;
            };
            self.next = self.schedule.next();
            // Requests that already wait go first.
            if !self.waiting.is_empty() || !self.start(transport, arrival) {
                self.waiting.push_back(arrival);
            }
        }
    }

    fn ended(&mut self, transport: &mut impl Transport<'a>, end: Ended) {
        if let Some(token) = end.idle {
            transport.release(token);
        }
    }

    fn freed(&mut self, transport: &mut impl Transport<'a>) {
        while let Some(arrival) = self.waiting.pop_front() {
            if !self.start(transport, arrival) {
                return self.waiting.push_front(arrival);
            }
        }
    }

    fn expire(&mut self, transport: &mut impl Transport<'a>, now_ns: u64) {
        while let Some(arrival) = self
            .waiting
            .front()
            .filter(|a| a.at_ns + self.timeout_ns <= now_ns)
            .copied()
        {
            self.waiting.pop_front();
            transport.never_sent(self.due(arrival), now_ns, ErrorKind::NotSent);
        }
    }

    fn upcoming(&self) -> Option<Due<'a>> {
        self.next.map(|arrival| self.due(arrival))
    }

    fn next_ns(&self) -> Option<u64> {
        self.next.map(|arrival| arrival.at_ns)
    }

    fn next_expiry_ns(&self) -> Option<u64> {
        self.waiting.front().map(|arrival| arrival.at_ns + self.timeout_ns)
    }

    fn is_done(&self) -> bool {
        self.next.is_none() && self.waiting.is_empty()
    }

    fn cancel(&mut self, transport: &mut impl Transport<'a>, now_ns: u64) {
        self.next = None;
        for arrival in std::mem::take(&mut self.waiting) {
            transport.never_sent(self.due(arrival), now_ns, ErrorKind::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::fake::{FakeTransport, call};

    #[test]
    fn invalid_plans_are_refused() {
        let good = RatePlan::new(100.0, Duration::from_secs(1));
        good.check().unwrap();
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(
                RatePlan {
                    rate_per_s: rate,
                    ..good.clone()
                }
                .check(),
                Err(LoadError::Rate(_))
            ));
        }
        let zero = RatePlan {
            duration: Duration::ZERO,
            ..good.clone()
        };
        assert!(matches!(zero.check(), Err(LoadError::Time { .. })));
        let pool = Connections::KeepAlive { pool: 2, at_most: 1 };
        assert!(matches!(
            RatePlan {
                connections: pool,
                ..good
            }
            .check(),
            Err(LoadError::Pool { .. })
        ));
    }

    #[test]
    fn the_timeout_limits_the_connections() {
        let plan = RatePlan::new(1000.0, Duration::from_secs(1));
        assert_eq!(plan.max_connections(), 2001);
        let capped = RatePlan {
            connections: Connections::PerRequest { at_most: Some(50) },
            ..plan
        };
        assert_eq!(capped.max_connections(), 50);
    }

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

    /// No delay of most wake-ups, up to 30 ms of some.
    fn stalls() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(prop_oneof![4 => Just(0), 1 => 0..30 * MS], 1..30)
    }

    fn services() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(1..40 * MS, 1..20)
    }

    #[test]
    fn there_is_no_lag_without_stalls() {
        let (plan, calls) = (plan(1000.0, None, 1000, 1), [call()]);
        let mut transport = FakeTransport::new(1000, true, vec![5 * MS / 2]);
        transport.run(RatePacer::new(&plan, (&calls, &[]), 0), &[0]);
        assert_eq!(transport.sent.len(), 120);
        assert!(transport.sent.iter().all(|sent| sent.sent_ns == Some(sent.at_ns)));
        assert_eq!(transport.max_outstanding, 3);
    }

    proptest! {
        /// Without a connection limit, for any stalls: every request of the schedule is sent once, in order, at the first wake-up at or after its scheduled
        /// time. Lag is therefore exactly what the stalls cause.
        #[test]
        fn every_request_is_sent_once_at_the_first_wakeup_after_it_is_due(
            rate in 1.0_f64..5000.0, poisson in prop::option::of(any::<u64>()), threads in 1_usize..4, stalls in stalls(), services in services(),
            keeps_alive in any::<bool>(),
        ) {
            let (plan, calls) = (plan(rate, poisson, 1_000_000, threads), [call()]);
            let mut all = Vec::new();
            for thread in 0..threads {
                let mut transport = FakeTransport::new(usize::MAX, keeps_alive, services.clone());
                transport.run(RatePacer::new(&plan, (&calls, &[]), thread), &stalls);
                prop_assert!(transport.sent.is_sorted_by_key(|sent| sent.at_ns));
                for sent in &transport.sent {
                    let first = transport.wakeups.partition_point(|&wakeup| wakeup < sent.at_ns);
                    prop_assert_eq!(sent.sent_ns, Some(transport.wakeups[first]));
                }
                all.extend(transport.sent);
            }
            // The threads together send every arrival of the schedule once.
            let mut due: Vec<_> = all.iter().map(|sent| (sent.at_ns, sent.warm_up)).collect();
            due.sort_unstable();
            let schedule: Vec<_> = Schedule::new(&plan).map(|arrival| (arrival.at_ns, arrival.warm_up)).collect();
            prop_assert_eq!(due, schedule);
        }

        /// With a connection limit, requests wait in order: none is lost or sent early or out of order, the limit is kept, and requests fail only after their
        /// time-out.
        #[test]
        fn requests_wait_for_a_connection_in_order(
            rate in 100.0_f64..5000.0, max_open in 1_usize..4, timeout_ms in 1_u64..60, stalls in stalls(), services in services(), keeps_alive in any::<bool>(),
        ) {
            let (plan, calls) = (plan(rate, None, timeout_ms, 1), [call()]);
            let mut transport = FakeTransport::new(max_open, keeps_alive, services);
            transport.run(RatePacer::new(&plan, (&calls, &[]), 0), &stalls);
            prop_assert!(transport.max_outstanding <= max_open);
            let mut due: Vec<_> = transport.sent.iter().map(|sent| sent.at_ns).collect();
            due.sort_unstable();
            prop_assert_eq!(due, Schedule::new(&plan).map(|arrival| arrival.at_ns).collect::<Vec<_>>());
            let sent: Vec<_> = transport.sent.iter().filter_map(|sent| Some((sent.at_ns, sent.sent_ns?))).collect();
            prop_assert!(sent.is_sorted());
            for (at_ns, sent_ns) in sent {
                prop_assert!((at_ns..at_ns + timeout_ms * MS).contains(&sent_ns));
            }
        }
    }
}
