//! CPU time, CPU affinity and real-time scheduling of the load generator's threads.

use std::io;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
pub use protocol::load::Scheduling;
use protocol::load::Usage;

use super::error::LoadError;

/// CPU time of a thread since it was started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Schedstat {
    cpu_ns: u64,
    run_queue_ns: u64,
}

impl Schedstat {
    /// Reads the calling thread's counters; 0 if the kernel has none (CONFIG_SCHED_INFO).
    pub fn of_this_thread() -> Self {
        std::fs::read_to_string("/proc/thread-self/schedstat")
            .ok()
            .and_then(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_whitespace().map(str::parse);
        Some(Self {
            cpu_ns: fields.next()?.ok()?,
            run_queue_ns: fields.next()?.ok()?,
        })
    }

    /// Usage since an earlier reading, over a wall time of which `spun_ns` were spent busy-polling.
    pub fn since(self, earlier: Self, wall_ns: u64, spun_ns: u64) -> Usage {
        let cpu_ns = self.cpu_ns.saturating_sub(earlier.cpu_ns);
        // The thread may have been preempted while it was busy-polling.
        let spun_ns = spun_ns.min(cpu_ns);
        Usage {
            cpu_ns,
            run_queue_ns: self.run_queue_ns.saturating_sub(earlier.run_queue_ns),
            wall_ns,
            spun_ns,
            busiest_ppm: (cpu_ns - spun_ns).saturating_mul(1_000_000) / wall_ns.max(1),
            scheduling: None,
            awake: None,
        }
    }
}

/// Pins the calling thread to one CPU.
pub fn pin(cpu: usize) -> Result<(), LoadError> {
    let mut set = CpuSet::new();
    set.set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .map_err(|errno| LoadError::Pin {
            cpu,
            source: io::Error::from(errno),
            allowed: allowed(),
        })
}

/// The CPU affinity of this process, for error messages.
fn allowed() -> String {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("Cpus_allowed_list:").map(str::to_owned))
        })
        .map_or_else(
            || "those in /proc/self/status".to_owned(),
            |list| list.trim().to_owned(),
        )
}

/// Schedules the calling thread with `SCHED_FIFO` at the lowest priority, so that it preempts all other threads on its CPU as soon as it is woken.
///
/// Returns whether the kernel permits it. It needs `CAP_SYS_NICE` or `RLIMIT_RTPRIO`, and in a cgroup v1 with the `cpu` controller a budget in
/// `cpu.rt_runtime_us`. Child threads do not inherit it.
#[must_use]
pub fn set_real_time() -> bool {
    set_scheduler(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, 1)
}

/// Returns the calling thread to `SCHED_OTHER`, which is always permitted.
pub fn set_normal() {
    set_scheduler(libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK, 0);
}

#[expect(unsafe_code, reason = "nix has no sched_setscheduler")]
fn set_scheduler(policy: libc::c_int, priority: libc::c_int) -> bool {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the kernel only reads `parameters`, which outlive the call; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_to_an_absent_cpu_lists_the_allowed_ones() {
        let error = std::thread::spawn(|| pin(1000).unwrap_err().to_string())
            .join()
            .unwrap();
        assert!(
            error.contains("CPU 1000") && error.contains("choose from CPUs "),
            "{error}"
        );
    }

    #[test]
    fn schedstat_is_parsed() {
        let read = Schedstat::parse("123 45 6\n").unwrap();
        assert_eq!((read.cpu_ns, read.run_queue_ns), (123, 45));
        assert!(Schedstat::parse("").is_none() && Schedstat::parse("1").is_none() && Schedstat::parse("a b").is_none());
    }

    #[expect(unsafe_code, reason = "nix has no sched_getscheduler")]
    fn policy() -> i32 {
        // SAFETY: no memory is passed; 0 is the calling thread.
        unsafe { libc::sched_getscheduler(0) & !libc::SCHED_RESET_ON_FORK }
    }

    #[test]
    fn real_time_scheduling_is_applied_and_reverted() {
        let thread = std::thread::spawn(|| {
            let expected = if set_real_time() {
                libc::SCHED_FIFO
            } else {
                libc::SCHED_OTHER
            };
            assert_eq!(policy(), expected);
            set_normal();
            assert_eq!(policy(), libc::SCHED_OTHER);
        });
        thread.join().unwrap();
    }
}
