//! The runner's one clock: monotonic nanoseconds since an arbitrary start (Linux: since boot, without sleep).
//!
//! PONG, READY and every sample are on this scale. It is never subtracted from another host's.

use nix::time::{ClockId, clock_gettime};

/// Now, ns.
#[must_use]
pub fn now_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// CPU that the calling thread has used, ns.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Both clocks exist on every Linux, so an error reads as 0 instead of reaching every caller.
fn read(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_clock_goes_forward_and_the_thread_pays_for_work() {
        let (wall, cpu) = (super::now_ns(), super::thread_cpu_ns());
        let mut sum = 0u64;
        for i in 0..200_000u64 {
            sum = std::hint::black_box(sum.wrapping_add(i));
        }
        assert!(super::now_ns() > wall && super::thread_cpu_ns() > cpu);
    }
}
