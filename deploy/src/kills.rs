//! Whether memory was the reason of a container's death, where nobody says.
//!
//! Docker tells by `OOMKilled`. Podman 4.3's service leaves that false (measured with version 1 of cgroups: conmon's note of it lands in the service's
//! working directory), LXC nothing at all, and the container's own counter is gone with it.
//! So the host's counter is compared: a container with a memory limit that died by SIGKILL while the kernel killed for memory died of that. Another's
//! kill in the same trial could be taken for it, which is seldom and still points at memory.

use std::fs;

use protocol::summary::Exit;

/// The host's kills for memory before a container was started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kills {
    before: Option<u64>,
}

impl Kills {
    /// Looks now. `is_needed`: nobody tells, and there is a limit.
    pub(crate) fn look(is_needed: bool) -> Self {
        let text = if is_needed { read() } else { String::new() };
        Self { before: count(&text) }
    }

    /// An end, with its reason if it was memory.
    pub(crate) fn explain(self, exit: Exit) -> Exit {
        self.explain_by(exit, read)
    }

    fn explain_by(self, exit: Exit, read: impl Fn() -> String) -> Exit {
        match (&exit, self.before) {
            (Exit::Signal(libc::SIGKILL), Some(before)) if count(&read()).is_some_and(|now| now > before) => {
                Exit::OutOfMemory
            }
            _ => exit,
        }
    }
}

fn read() -> String {
    fs::read_to_string("/proc/vmstat").unwrap_or_default()
}

/// The line `oom_kill N` (since Linux 4.13).
fn count(vmstat: &str) -> Option<u64> {
    vmstat
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kill_while_the_counter_grew_is_for_memory() {
        let counter = |kills: u64| format!("nr_free_pages 7\noom_kill {kills}\n");
        let kills = Kills { before: Some(3) };
        let killed = || Exit::Signal(libc::SIGKILL);
        assert_eq!(kills.explain_by(killed(), || counter(4)), Exit::OutOfMemory);
        assert_eq!(kills.explain_by(killed(), || counter(3)), killed());
        assert_eq!(kills.explain_by(killed(), String::new), killed());
        assert_eq!(kills.explain_by(Exit::Code(0), || counter(4)), Exit::Code(0));
        assert_eq!(Kills::look(false).explain_by(killed(), || counter(4)), killed());
    }

    #[test]
    fn this_kernel_counts() {
        assert!(Kills::look(true).before.is_some());
    }
}
