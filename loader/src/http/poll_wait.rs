//! How long an event loop may sleep, and its accounting of busy-polling: pure but for the CPU time of its thread.

use std::time::Duration;

use protocol::load::Wait;

use crate::clock::{nanos, thread_cpu_ns};

/// Maximum sleep, so that cancellation is noticed.
const MAX_SLEEP: Duration = Duration::from_millis(50);

/// Computes the poll time-outs of a thread.
#[derive(Debug)]
pub struct PollWait {
    wait: Wait,
    spin: Duration,
    lead: LeadTime,
    busy: BusyMonitor,
    is_busy: bool,
    /// The due time that the thread is awake for, and its wake-up time, ns.
    awake_for: Option<(u64, u64)>,
    /// Expiry of the timer that ends the sleep, ns of the run.
    alarm_ns: Option<u64>,
    /// The last poll did not sleep and found nothing: its time, and the number of requests sent by then.
    idle: Option<(u64, u64)>,
    /// The last poll that did not sleep: its time, and the number of requests sent by then.
    polled: Option<(u64, u64)>,
    spun_ns: u64,
}

/// The times at which the thread has something to do, ns of the run.
#[derive(Debug, Clone, Copy)]
pub struct Wakeups {
    /// The current time.
    pub now_ns: u64,
    /// When the next request is due, with ns precision.
    pub due_ns: Option<u64>,
    /// The next time-out, with ms precision.
    pub expiry_ns: Option<u64>,
    /// Whether there is something to do immediately.
    pub immediate: bool,
}

/// The time-out of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollTimeout {
    /// Maximum duration; zero: does not sleep.
    pub at_most: Duration,
    /// When a ns timer must end it, ns of the run.
    pub alarm_ns: Option<u64>,
}

impl PollWait {
    /// For a thread that wakes `spin` before a request is due, initially, or never sleeps.
    pub fn new(wait: Wait, spin: Duration) -> Self {
        Self {
            wait,
            spin,
            lead: LeadTime::new(nanos(spin)),
            busy: BusyMonitor::default(),
            is_busy: false,
            awake_for: None,
            alarm_ns: None,
            idle: None,
            polled: None,
            spun_ns: 0,
        }
    }

    /// How long the thread busy-waits before the start of the run.
    pub fn spin_before_start(&self) -> Duration {
        match self.wait {
            Wait::Sleep => self.spin,
            Wait::Spin => Duration::MAX,
        }
    }

    /// The time-out of the next poll; `sent` requests have been sent so far.
    pub fn timeout(&mut self, wakeups: &Wakeups, sent: u64) -> PollTimeout {
        let now_ns = wakeups.now_ns;
        // The time since a poll that found nothing was spent busy-polling, unless a request was sent meanwhile.
        if let Some((since_ns, before)) = self.idle.take()
            && before == sent
        {
            let spun_ns = now_ns.saturating_sub(since_ns);
            self.lead.spun(spun_ns);
            self.spun_ns += spun_ns;
        }
        self.is_busy |= self.busy.is_busy(now_ns, thread_cpu_ns);
        let wake_ns = self.wake_ns(wakeups);
        let is_near = wake_ns.is_some_and(|at| at <= now_ns);
        if wakeups.immediate || is_near || self.wait == Wait::Spin {
            self.polled = (!wakeups.immediate).then_some((now_ns, sent));
            self.alarm_ns = None;
            return PollTimeout {
                at_most: Duration::ZERO,
                alarm_ns: None,
            };
        }
        self.polled = None;
        self.alarm_ns = wake_ns;
        PollTimeout {
            // epoll_wait has ms resolution.
            at_most: wakeups.expiry_ns.map_or(MAX_SLEEP, |at| {
                Duration::from_nanos(at.saturating_sub(now_ns)).min(MAX_SLEEP)
            }),
            alarm_ns: wake_ns,
        }
    }

    /// When the thread must wake for the next request. Once awake for a request, it stays awake.
    fn wake_ns(&mut self, wakeups: &Wakeups) -> Option<u64> {
        let due_ns = wakeups.due_ns?;
        let wake_ns = match self.awake_for {
            Some((due, wake_ns)) if due == due_ns => wake_ns,
            _ => due_ns.saturating_sub(self.lead.at(wakeups.now_ns)),
        };
        self.awake_for = (wake_ns <= wakeups.now_ns).then_some((due_ns, wake_ns));
        Some(wake_ns)
    }

    /// Records the end of a sleep.
    pub fn slept(&mut self, now_ns: u64) {
        if let Some(late_ns) = self.alarm_ns.take().and_then(|alarm_ns| now_ns.checked_sub(alarm_ns)) {
            self.lead.woken(late_ns);
        }
    }

    /// Whether the thread has kept its CPU busy for more than half of a time slice.
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Records the end of a poll, and whether it found nothing.
    pub fn polled(&mut self, nothing: bool) {
        self.idle = self.polled.take().filter(|_| nothing);
    }

    /// Time spent busy-polling, ns.
    pub fn spun_ns(&self) -> u64 {
        self.spun_ns
    }
}

/// Added to the estimated wake-up latency: the time from the wake-up to reading the clock, ns.
const MARGIN_NS: u64 = 5_000;
/// Maximum lead time, ns.
const MAX_LEAD_NS: u64 = 250_000;
/// At most 1/5 of the time may be spent busy-polling.
const SPIN_SHARE: u64 = 5;
/// Increase of the estimate by a wake-up that is later, ns.
const UP_NS: u64 = 1_980;
/// Decrease by any other wake-up, ns: the estimate converges to the 99th percentile.
const DOWN_NS: u64 = 20;

/// How long before a request is due a thread wakes; it busy-polls from then on.
///
/// The wake-up latency of a thread depends on the machine and its load: from 5 us to several hundred us in a virtual machine whose idle vCPUs are
/// descheduled. The lead time follows its 99th percentile. Busy-polling is limited to a share of the elapsed time, at any request rate.
#[derive(Debug)]
pub struct LeadTime {
    /// Estimated 99th percentile of the wake-up latency, ns.
    latency_ns: u64,
    /// Current budget for busy-polling, ns.
    credit_ns: u64,
    /// Time up to which the budget was credited, ns of the run.
    credited_ns: u64,
    adapts: bool,
}

impl LeadTime {
    /// Adapts from an initial lead time; zero: always zero.
    pub fn new(first_ns: u64) -> Self {
        Self {
            latency_ns: first_ns.saturating_sub(MARGIN_NS),
            credit_ns: first_ns.min(MAX_LEAD_NS),
            credited_ns: 0,
            adapts: first_ns > 0,
        }
    }

    /// The lead time at a time of the run, ns.
    pub fn at(&mut self, now_ns: u64) -> u64 {
        if !self.adapts {
            return 0;
        }
        let passed_ns = now_ns.saturating_sub(self.credited_ns);
        // The remainder is credited next time.
        self.credit_ns = (self.credit_ns + passed_ns / SPIN_SHARE).min(MAX_LEAD_NS);
        self.credited_ns = now_ns - passed_ns % SPIN_SHARE;
        (self.latency_ns + MARGIN_NS).min(self.credit_ns)
    }

    /// Records a wake-up latency, ns.
    pub fn woken(&mut self, latency_ns: u64) {
        self.latency_ns = if latency_ns > self.latency_ns {
            (self.latency_ns + UP_NS).min(MAX_LEAD_NS - MARGIN_NS)
        } else {
            self.latency_ns.saturating_sub(DOWN_NS)
        };
    }

    /// Records time spent busy-polling, ns.
    pub fn spun(&mut self, spun_ns: u64) {
        self.credit_ns = self.credit_ns.saturating_sub(spun_ns);
    }
}

/// Time slice over which utilization is measured, ns.
const SLICE_NS: u64 = 100_000_000;

/// Detects that a thread keeps its CPU so busy that, with real-time scheduling, it would starve other threads on it.
#[derive(Debug, Default)]
pub struct BusyMonitor {
    slice_ns: u64,
    /// At the start of the slice; `None`: before the first.
    cpu_ns: Option<u64>,
}

impl BusyMonitor {
    /// Whether the thread used its CPU for more than half of the time slice that ends now. `cpu_ns` is its CPU time: what the hypervisor or another
    /// thread takes is not counted, so a disturbed thread is not mistaken for a busy one. Read once in a time slice.
    pub fn is_busy(&mut self, now_ns: u64, cpu_ns: impl FnOnce() -> u64) -> bool {
        let passed_ns = now_ns.saturating_sub(self.slice_ns);
        if passed_ns < SLICE_NS {
            return false;
        }
        let cpu_ns = cpu_ns();
        let is_busy = self
            .cpu_ns
            .is_some_and(|before| cpu_ns.saturating_sub(before) > passed_ns / 2);
        (self.slice_ns, self.cpu_ns) = (now_ns, Some(cpu_ns));
        is_busy
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn wakeups(now_ns: u64, due_ns: Option<u64>, expiry_ns: Option<u64>) -> Wakeups {
        Wakeups {
            now_ns,
            due_ns,
            expiry_ns,
            immediate: false,
        }
    }

    #[test]
    fn busy_polling_is_counted_and_work_is_not() {
        let mut wait = PollWait::new(Wait::Spin, Duration::ZERO);
        wait.timeout(&wakeups(100, None, None), 0);
        wait.polled(true);
        wait.timeout(&wakeups(150, None, None), 0);
        wait.polled(false);
        // An event occurred: the time that follows is work.
        wait.timeout(&wakeups(1000, None, None), 0);
        wait.polled(true);
        // No event, but a request was sent meanwhile.
        wait.timeout(&wakeups(5000, None, None), 1);
        assert_eq!(wait.spun_ns(), 50);
    }

    #[test]
    fn spin_never_sleeps() {
        let mut wait = PollWait::new(Wait::Spin, Duration::from_micros(50));
        assert_eq!(wait.spin_before_start(), Duration::MAX);
        let timeout = wait.timeout(&wakeups(0, Some(1_000_000_000), Some(7)), 0);
        assert_eq!((timeout.at_most, timeout.alarm_ns), (Duration::ZERO, None));
    }

    proptest! {
        /// A sleep ends before a request is due, by the initial lead time, and never exceeds [`MAX_SLEEP`].
        #[test]
        fn no_sleep_exceeds_the_next_wakeup(
            now in 0_u64..10_000_000_000, due in prop::option::of(0_u64..10_000_000_000), late in prop::option::of(0_u64..10_000_000_000),
            // Within the limits of the lead time, which has its initial value until the first wake-up is measured.
            spin_us in prop_oneof![Just(0_u64), 5_u64..=250],
        ) {
            let mut wait = PollWait::new(Wait::Sleep, Duration::from_micros(spin_us));
            let timeout = wait.timeout(&wakeups(now, due, late), 0);
            prop_assert!(timeout.at_most <= MAX_SLEEP);
            if let Some(late) = late {
                prop_assert!(now + nanos(timeout.at_most) <= late.max(now));
            }
            match due {
                None => prop_assert_eq!(timeout.alarm_ns, None),
                Some(due) if due <= now + spin_us * 1000 => prop_assert_eq!((timeout.at_most, timeout.alarm_ns), (Duration::ZERO, None)),
                Some(due) => prop_assert_eq!(timeout.alarm_ns, Some(due - spin_us * 1000)),
            }
        }
    }

    /// Simulates a request rate with given wake-up latencies; returns the fraction of requests sent on time and the fraction of time spent busy-polling.
    fn simulate(rate: u64, mut latency_ns: impl FnMut() -> u64, requests: u64) -> (f64, f64) {
        let mut lead = LeadTime::new(50_000);
        let (mut on_time, mut spun) = (0, 0);
        for n in 1..=requests {
            let lead_ns = lead.at((n - 1) * 1_000_000_000 / rate);
            let latency_ns = latency_ns();
            lead.woken(latency_ns);
            let left_ns = lead_ns.saturating_sub(latency_ns);
            lead.spun(left_ns);
            // It adapts during the first half.
            if n > requests / 2 {
                on_time += u64::from(latency_ns <= lead_ns);
                spun += left_ns;
            }
            assert!(lead_ns <= MAX_LEAD_NS);
        }
        let half = (requests / 2) as f64;
        (on_time as f64 / half, spun as f64 / (half * 1e9 / rate as f64))
    }

    #[test]
    fn the_lead_time_adapts_to_the_wakeup_latency() {
        for worst_ns in [10_000, 60_000, 200_000] {
            let mut random = StdRng::seed_from_u64(7);
            let (on_time, spun) = simulate(500, || random.random_range(0..worst_ns), 4000);
            assert!(on_time > 0.98, "{worst_ns}: {on_time}");
            assert!(spun * 500.0 < worst_ns as f64, "{worst_ns}: {spun}");
        }
    }

    #[test]
    fn a_lead_time_of_zero_stays_zero() {
        let mut lead = LeadTime::new(0);
        lead.woken(1_000_000);
        assert_eq!(lead.at(1_000_000_000), 0);
    }

    #[test]
    fn more_than_half_of_the_time_on_a_cpu_is_busy() {
        for (share_percent, is_busy) in [(40, false), (60, true), (100, true)] {
            let mut monitor = BusyMonitor::default();
            let detected = (0..350).any(|ms| monitor.is_busy(ms * 1_000_000, || ms * 10_000 * share_percent));
            assert_eq!(detected, is_busy, "{share_percent} %");
        }
    }

    proptest! {
        /// For any wake-up latencies, busy-polling takes at most a fifth of the time plus the initial lead time.
        #[test]
        fn busy_polling_is_bounded(rate in 10_u64..100_000, seed in any::<u64>(), worst_ns in 1_u64..1_000_000) {
            let mut random = StdRng::seed_from_u64(seed);
            let (_, spun) = simulate(rate, || random.random_range(0..worst_ns), 2000);
            let first = MAX_LEAD_NS as f64 / (1e12 / rate as f64);
            prop_assert!(spun <= 0.2 + first + 1e-6, "{spun}");
        }
    }
}
