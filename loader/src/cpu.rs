//! What the engine's own threads take: CPU time and waiting for a CPU.

use std::io;
use std::path::Path;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use protocol::load::Usage;

use super::error::LoadError;

/// The counters of the calling thread since it was started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Schedstat {
    cpu_ns: u64,
    run_queue_ns: u64,
}

impl Schedstat {
    /// Reads the calling thread's counters; zero where the kernel keeps none (CONFIG_SCHED_INFO).
    pub fn of_this_thread() -> Self {
        std::fs::read_to_string(Path::new("/proc/thread-self/schedstat"))
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

    /// What was used since an earlier reading, over a wall time in ns, of which `spun_ns` were spent on watching the clock.
    pub fn since(self, earlier: Self, wall_ns: u64, spun_ns: u64) -> Usage {
        let cpu_ns = self.cpu_ns.saturating_sub(earlier.cpu_ns);
        // Who spins may lose its CPU meanwhile.
        let spun_ns = spun_ns.min(cpu_ns);
        Usage {
            cpu_ns,
            run_queue_ns: self.run_queue_ns.saturating_sub(earlier.run_queue_ns),
            wall_ns,
            spun_ns,
            busiest_ppm: (cpu_ns - spun_ns).saturating_mul(1_000_000) / wall_ns.max(1),
            scheduling: None,
        }
    }
}

/// Binds the calling thread to one CPU.
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

/// The CPUs of this process as the kernel lists them, for an error message.
fn allowed() -> String {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("Cpus_allowed_list:").map(str::to_owned))
        })
        .map_or_else(
            || "those of /proc/self/status".to_owned(),
            |list| list.trim().to_owned(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_does_not_exist_is_named_with_those_that_do() {
        let error = std::thread::spawn(|| pin(1000).unwrap_err().to_string())
            .join()
            .unwrap();
        assert!(
            error.contains("CPU 1000") && error.contains("choose CPUs out of "),
            "{error}"
        );
    }

    #[test]
    fn schedstat_is_read_and_garbage_is_not() {
        let read = Schedstat::parse("123 45 6\n").unwrap();
        assert_eq!((read.cpu_ns, read.run_queue_ns), (123, 45));
        assert!(Schedstat::parse("").is_none() && Schedstat::parse("1").is_none() && Schedstat::parse("a b").is_none());
    }
}
