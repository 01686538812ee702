//! Detects whether a container was killed for lack of memory where nothing reports it.
//!
//! Docker reports `OOMKilled`, at times only after the container's end. Podman 4.3's service always reports false (measured with cgroup v1: conmon
//! writes its note to the service's working directory), LXC reports nothing, and the container's own counter vanishes with its cgroup. So the host's
//! counter is used: a container with a memory limit that died of SIGKILL while the kernel's OOM-kill counter increased ran out of memory. An OOM kill
//! of another process during the same trial could be mistaken for it; that is rare, and still points at memory.

use std::fs;

use protocol::summary::Exit;

/// The host's OOM-kill counter before a container was started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OomDetector {
    before: Option<u64>,
}

impl OomDetector {
    /// Reads the counter. `is_needed`: there is a memory limit, and nothing else reports OOM kills in time.
    pub(crate) fn new(is_needed: bool) -> Self {
        let text = if is_needed { read() } else { String::new() };
        Self { before: kills(&text) }
    }

    /// Turns a SIGKILL into [`Exit::OutOfMemory`] if the counter has increased since.
    pub(crate) fn classify(self, exit: Exit) -> Exit {
        self.classify_with(exit, read)
    }

    fn classify_with(self, exit: Exit, read: impl Fn() -> String) -> Exit {
        match (&exit, self.before) {
            (Exit::Signal(libc::SIGKILL), Some(before)) if kills(&read()).is_some_and(|now| now > before) => {
                Exit::OutOfMemory
            }
            _ => exit,
        }
    }
}

fn read() -> String {
    fs::read_to_string("/proc/vmstat").unwrap_or_default()
}

/// The line `oom_kill N` of `/proc/vmstat` and `memory.oom_control` (cgroup v1), both since Linux 4.13, or of `memory.events` (v2).
pub(crate) fn kills(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sigkill_while_the_counter_grew_is_out_of_memory() {
        let counter = |kills: u64| format!("nr_free_pages 7\noom_kill {kills}\n");
        let detector = OomDetector { before: Some(3) };
        let killed = || Exit::Signal(libc::SIGKILL);
        assert_eq!(detector.classify_with(killed(), || counter(4)), Exit::OutOfMemory);
        assert_eq!(detector.classify_with(killed(), || counter(3)), killed());
        assert_eq!(detector.classify_with(killed(), String::new), killed());
        assert_eq!(detector.classify_with(Exit::Code(0), || counter(4)), Exit::Code(0));
        assert_eq!(OomDetector::new(false).classify_with(killed(), || counter(4)), killed());
    }

    #[test]
    fn the_counter_of_a_cgroup_is_read_in_both_versions() {
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        let events = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(kills(events), Some(1));
        assert_eq!(kills("oom_kill_disable 0\n"), None);
    }

    #[test]
    fn this_kernel_has_the_counter() {
        assert!(OomDetector::new(true).before.is_some());
    }
}
