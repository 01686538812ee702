//! The engines' clock and timer, both CLOCK_MONOTONIC.

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
    /// A clock whose origin is this CLOCK_MONOTONIC time.
    pub fn from_origin(origin_ns: u64) -> Self {
        Self { origin_ns }
    }

    /// Time since the start of the run, ns; 0 before it.
    pub fn now_ns(self) -> u64 {
        monotonic_ns().saturating_sub(self.origin_ns)
    }

    /// Waits until the start of the run, busy-waiting for the last `spin`.
    pub fn wait_for_start(self, spin: Duration) {
        let left = Duration::from_nanos(self.origin_ns.saturating_sub(monotonic_ns()));
        std::thread::sleep(left.saturating_sub(spin));
        while monotonic_ns() < self.origin_ns {
            std::hint::spin_loop();
        }
    }
}

/// A duration in whole ns, saturating.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// CLOCK_MONOTONIC in ns.
pub fn monotonic_ns() -> u64 {
    // This clock always exists; a zero would be visible as an absurd lag.
    clock_gettime(Clk::CLOCK_MONOTONIC).map_or(0, |now| nanos(now.into()))
}

/// The CPU time of the calling thread, ns.
pub fn thread_cpu_ns() -> u64 {
    // This clock always exists.
    clock_gettime(Clk::CLOCK_THREAD_CPUTIME_ID).map_or(0, |now| nanos(now.into()))
}

/// A timer whose descriptor becomes readable at an absolute time.
///
/// Unlike the time-out of `epoll_wait`, it has ns resolution and no slack.
#[derive(Debug)]
pub struct Timer {
    fd: TimerFd,
    armed_ns: Option<u64>,
}

impl Timer {
    /// A disarmed timer.
    pub fn new() -> io::Result<Self> {
        let fd = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        Ok(Self { fd, armed_ns: None })
    }

    /// Arms the timer for a time of the run, replacing the previous one; a time in the past fires immediately.
    ///
    /// It need not be read: arming clears it, and an edge-triggered poll reports the next expiry.
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
