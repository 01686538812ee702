//! The engine's clock and its timer, both CLOCK_MONOTONIC.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId as Clk, clock_gettime};

/// Nanoseconds since the start of a run.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// CLOCK_MONOTONIC at the start of the run, ns.
    origin_ns: u64,
}

impl Clock {
    /// A clock whose zero lies at a time of CLOCK_MONOTONIC.
    pub fn from_origin(origin_ns: u64) -> Self {
        Self { origin_ns }
    }

    /// The time since the start of the run; 0 before it.
    pub fn now_ns(self) -> u64 {
        monotonic_ns().saturating_sub(self.origin_ns)
    }

    /// Sleeps until the start of the run, the last part of it awake.
    pub fn wait_for_start(self, awake: Duration) {
        let left = Duration::from_nanos(self.origin_ns.saturating_sub(monotonic_ns()));
        std::thread::sleep(left.saturating_sub(awake));
        while monotonic_ns() < self.origin_ns {
            std::hint::spin_loop();
        }
    }
}

/// CLOCK_MONOTONIC in ns.
pub fn monotonic_ns() -> u64 {
    // The kernel cannot refuse this clock; a zero would show at once in the first lag.
    clock_gettime(Clk::CLOCK_MONOTONIC).map_or(0, |now| u64::try_from(Duration::from(now).as_nanos()).unwrap_or(0))
}

/// A timer that makes its descriptor readable at an absolute time.
///
/// Unlike the time-out of `epoll_wait` it counts in ns and has no slack.
#[derive(Debug)]
pub struct Timer {
    fd: TimerFd,
    armed_ns: Option<u64>,
}

impl Timer {
    /// A timer that is not set.
    pub fn new() -> io::Result<Self> {
        let fd = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        Ok(Self { fd, armed_ns: None })
    }

    /// Sets it to a time of the run, in place of the one before; one in the past fires at once.
    ///
    /// It need not be read: setting it clears it, and an edge-triggered watcher sees the next expiry.
    pub fn arm(&mut self, clock: Clock, at_ns: u64) -> io::Result<()> {
        if self.armed_ns == Some(at_ns) {
            return Ok(());
        }
        let at = TimeSpec::from_duration(Duration::from_nanos(clock.origin_ns.saturating_add(at_ns).max(1)));
        self.fd
            .set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        self.armed_ns = Some(at_ns);
        Ok(())
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_fd().as_raw_fd()
    }
}
