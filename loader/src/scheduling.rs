//! Real-time scheduling of the calling thread.
#![expect(unsafe_code, reason = "nix has no sched_setscheduler")]

pub use protocol::load::Scheduling;

/// Schedules the calling thread in real time, at the lowest priority: it runs as soon as it is woken, whatever else its CPU is doing.
///
/// Returns whether the kernel allows it. It needs `CAP_SYS_NICE` or `RLIMIT_RTPRIO`, and in a cgroup v1 with the controller `cpu` a share of
/// `cpu.rt_runtime_us`. Threads that it starts are not scheduled so.
#[must_use]
pub fn real_time() -> bool {
    set(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, 1)
}

/// Schedules the calling thread like any other again; this is always allowed.
pub fn normal() {
    set(libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK, 0);
}

fn set(policy: libc::c_int, priority: libc::c_int) -> bool {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the kernel only reads the parameters, which live until it returns; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> i32 {
        // SAFETY: no memory is passed; 0 is the calling thread.
        unsafe { libc::sched_getscheduler(0) & !libc::SCHED_RESET_ON_FORK }
    }

    #[test]
    fn what_it_returns_is_what_the_kernel_does_and_it_can_be_undone() {
        let thread = std::thread::spawn(|| {
            let expected = if real_time() {
                libc::SCHED_FIFO
            } else {
                libc::SCHED_OTHER
            };
            assert_eq!(policy(), expected);
            normal();
            assert_eq!(policy(), libc::SCHED_OTHER);
        });
        thread.join().unwrap();
    }
}
