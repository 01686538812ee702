//! The runner's clock: monotonic nanoseconds since an arbitrary start (on Linux: since boot, without suspend).
//!
//! PONG, READY and all samples use it. It is never compared with another host's clock.

use nix::time::{ClockId, clock_gettime};

/// Now, ns.
#[must_use]
pub fn now_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// CPU time of the calling thread, ns.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Both clocks exist on every Linux, so callers need not handle an error.
fn read(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_clocks_advance() {
        let (wall, cpu) = (super::now_ns(), super::thread_cpu_ns());
        let mut sum = 0u64;
        for i in 0..200_000u64 {
            sum = std::hint::black_box(sum.wrapping_add(i));
        }
        assert!(super::now_ns() > wall && super::thread_cpu_ns() > cpu);
    }
}
