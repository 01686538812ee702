//! How long a thread may sleep, and what it spends on not sleeping: pure.

use std::time::Duration;

use super::lead::{Busy, Lead};
use super::wire::nanos;
use protocol::load::Wait;

/// How long a cancellation may go unseen.
const ATTENTION: Duration = Duration::from_millis(50);

/// The rests of a thread between two looks at its sockets.
#[derive(Debug)]
pub struct Rest {
    wait: Wait,
    spin: Duration,
    lead: Lead,
    busy: Busy,
    is_busy: bool,
    /// The due time that the thread is awake for, and when it had to wake for it.
    awake_for: Option<(u64, u64)>,
    /// When a timer was to end the sleep, ns of the run.
    alarm_ns: Option<u64>,
    /// The last look found nothing, and was made without sleeping: since when, and what had been sent by then.
    idle: Option<(u64, u64)>,
    /// When the thread looked last without sleeping, and what had been sent by then.
    looked: Option<(u64, u64)>,
    spun_ns: u64,
}

/// The moments at which something is to be done, ns of the run.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    /// Now.
    pub now_ns: u64,
    /// When the next request is due: exact.
    pub due_ns: Option<u64>,
    /// When something is late: to the millisecond.
    pub late_ns: Option<u64>,
    /// Whether something is to be done at once.
    pub at_once: bool,
}

/// A sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sleep {
    /// How long it may be; zero: only a look.
    pub at_most: Duration,
    /// When a timer that counts in ns must end it before, ns of the run.
    pub alarm_ns: Option<u64>,
}

impl Rest {
    /// The rests of a thread that is awake for so long before a request is due, at first, or always.
    pub fn new(wait: Wait, spin: Duration) -> Self {
        Self {
            wait,
            spin,
            lead: Lead::new(nanos(spin)),
            busy: Busy::default(),
            is_busy: false,
            awake_for: None,
            alarm_ns: None,
            idle: None,
            looked: None,
            spun_ns: 0,
        }
    }

    /// How long before the start of the run the thread is awake.
    pub fn awake(&self) -> Duration {
        match self.wait {
            Wait::Sleep => self.spin,
            Wait::Spin => Duration::MAX,
        }
    }

    /// How long the thread may sleep now; `sent` requests have gone out so far.
    pub fn until(&mut self, moments: &Moments, sent: u64) -> Sleep {
        let now_ns = moments.now_ns;
        // What passed since a look that found nothing was spun, unless a request went out meanwhile.
        if let Some((since_ns, before)) = self.idle.take()
            && before == sent
        {
            let spun_ns = now_ns.saturating_sub(since_ns);
            self.lead.spun(spun_ns);
            self.spun_ns += spun_ns;
        }
        self.is_busy |= self.busy.awake(now_ns);
        let wake_ns = self.wake_ns(moments);
        let is_near = wake_ns.is_some_and(|at| at <= now_ns);
        if moments.at_once || is_near || self.wait == Wait::Spin {
            self.looked = (!moments.at_once).then_some((now_ns, sent));
            self.alarm_ns = None;
            return Sleep {
                at_most: Duration::ZERO,
                alarm_ns: None,
            };
        }
        self.looked = None;
        self.alarm_ns = wake_ns;
        Sleep {
            // To the millisecond, as epoll_wait counts.
            at_most: moments.late_ns.map_or(ATTENTION, |at| {
                Duration::from_nanos(at.saturating_sub(now_ns)).min(ATTENTION)
            }),
            alarm_ns: wake_ns,
        }
    }

    /// When the thread must wake for the next request. A lead that has begun goes on to its end.
    fn wake_ns(&mut self, moments: &Moments) -> Option<u64> {
        let due_ns = moments.due_ns?;
        let wake_ns = match self.awake_for {
            Some((due, wake_ns)) if due == due_ns => wake_ns,
            _ => due_ns.saturating_sub(self.lead.at(moments.now_ns)),
        };
        self.awake_for = (wake_ns <= moments.now_ns).then_some((due_ns, wake_ns));
        Some(wake_ns)
    }

    /// A sleep is over.
    pub fn slept(&mut self, now_ns: u64) {
        self.busy.woke(now_ns);
        if let Some(late_ns) = self.alarm_ns.take().and_then(|alarm_ns| now_ns.checked_sub(alarm_ns)) {
            self.lead.woken(late_ns);
        }
    }

    /// Whether the thread has kept a CPU busy for more than half of some time.
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// The sleep or the look is over; whether it found nothing to do.
    pub fn woke(&mut self, nothing: bool) {
        self.idle = self.looked.take().filter(|_| nothing);
    }

    /// What was spent on looking while nothing was to be done, ns.
    pub fn spun_ns(&self) -> u64 {
        self.spun_ns
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moments(now_ns: u64, due_ns: Option<u64>, late_ns: Option<u64>) -> Moments {
        Moments {
            now_ns,
            due_ns,
            late_ns,
            at_once: false,
        }
    }

    #[test]
    fn what_is_spun_is_counted_and_work_is_not() {
        let mut rest = Rest::new(Wait::Spin, Duration::ZERO);
        rest.until(&moments(100, None, None), 0);
        rest.woke(true);
        rest.until(&moments(150, None, None), 0);
        rest.woke(false);
        // Something came: what follows is work.
        rest.until(&moments(1000, None, None), 0);
        rest.woke(true);
        // Nothing came, but a request went out meanwhile.
        rest.until(&moments(5000, None, None), 1);
        assert_eq!(rest.spun_ns(), 50);
    }

    #[test]
    fn who_spins_never_sleeps() {
        let mut rest = Rest::new(Wait::Spin, Duration::from_micros(50));
        assert_eq!(rest.awake(), Duration::MAX);
        let sleep = rest.until(&moments(0, Some(1_000_000_000), Some(7)), 0);
        assert_eq!((sleep.at_most, sleep.alarm_ns), (Duration::ZERO, None));
    }

    proptest! {
        /// A sleep ends before a request is due, by as much as was ordered; and it never outlasts the attention that a cancellation needs.
        #[test]
        fn no_sleep_goes_beyond_what_is_due(
            now in 0_u64..10_000_000_000, due in prop::option::of(0_u64..10_000_000_000), late in prop::option::of(0_u64..10_000_000_000),
            // Within the bounds of a lead, which is what was ordered until a sleep has shown how late the kernel is.
            spin_us in prop_oneof![Just(0_u64), 5_u64..=250],
        ) {
            let mut rest = Rest::new(Wait::Sleep, Duration::from_micros(spin_us));
            let sleep = rest.until(&moments(now, due, late), 0);
            prop_assert!(sleep.at_most <= ATTENTION);
            if let Some(late) = late {
                prop_assert!(now + nanos(sleep.at_most) <= late.max(now));
            }
            match due {
                None => prop_assert_eq!(sleep.alarm_ns, None),
                Some(due) if due <= now + spin_us * 1000 => prop_assert_eq!((sleep.at_most, sleep.alarm_ns), (Duration::ZERO, None)),
                Some(due) => prop_assert_eq!(sleep.alarm_ns, Some(due - spin_us * 1000)),
            }
        }
    }
}
