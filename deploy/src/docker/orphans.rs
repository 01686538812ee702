//! Processes of a container that its engine no longer knows.
//!
//! To an engine, a container is gone when its record is. Docker 20.10 drops the record of a container whose runtime failed during the start, and leaves its
//! shim running forever, and with gVisor also the sandbox and its gofer (seen with runsc). So a removal looks for processes by the container's id: those in a
//! cgroup that is named after it, and the monitor that has it among its arguments.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::process::kill;
use crate::procfs::Procfs;

/// How long they may take to end by themselves: a shim does so just after the engine's reply.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long they may take after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// Polling interval.
const POLL: Duration = Duration::from_millis(20);
/// The monitors of containers: containerd's shim and Podman's conmon. The kernel truncates names to 15 characters.
const MONITORS: [&str; 2] = ["containerd-shim", "conmon"];
/// A shorter id could be part of another word.
const MIN_ID_LENGTH: usize = 32;

/// Waits until all processes of a removed container have ended, and kills those that do not. Returns what is left.
pub(super) async fn remove(id: &str) -> Vec<String> {
    let procfs = Procfs::default();
    if wait(&procfs, id, EXIT_TIMEOUT).await.is_empty() {
        return Vec::new();
    }
    for pid in of(&procfs, id) {
        tracing::warn!(pid, container = id, "killed an orphaned process of a removed container");
        kill(pid);
    }
    let left = wait(&procfs, id, KILL_TIMEOUT).await;
    left.into_iter()
        .map(|pid| format!("pid {pid} of container {id}"))
        .collect()
}

/// Waits until none is left. Returns those that are left after the timeout.
async fn wait(procfs: &Procfs, id: &str, limit: Duration) -> Vec<u32> {
    let until = Instant::now() + limit;
    loop {
        let left = of(procfs, id);
        if left.is_empty() || Instant::now() >= until {
            return left;
        }
        sleep(POLL).await;
    }
}

/// The live processes of a container, by its id.
fn of(procfs: &Procfs, id: &str) -> Vec<u32> {
    if id.len() < MIN_ID_LENGTH {
        return Vec::new();
    }
    let mut pids = procfs.pids();
    pids.retain(|&pid| belongs(procfs, pid, id) && procfs.is_alive(pid));
    pids
}

fn belongs(procfs: &Procfs, pid: u32, id: &str) -> bool {
    if procfs.cgroups(pid).is_some_and(|cgroups| cgroups.contains(id)) {
        return true;
    }
    let is_monitor = |name: String| MONITORS.contains(&name.as_str());
    procfs.name(pid).is_some_and(is_monitor) && procfs.arguments(pid).iter().any(|word| word == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn they_are_found_by_cgroup_and_by_arguments() {
        let id = "c7631ab54d4a05463f0e369572c06d4e1251084af6e08d697ae518f0c6bba5ec";
        let root = tempfile::tempdir().unwrap();
        for (pid, name, state, cgroup, arguments) in [
            (10, "dockerd", 'S', "0::/\n", "dockerd\0".to_owned()),
            (
                11,
                "containerd-shim",
                'S',
                "0::/\n",
                format!("containerd-shim-runc-v2\0-id\0{id}\0"),
            ),
            (12, "conmon", 'S', "0::/\n", format!("conmon\0-c\0{id}\0")),
            (
                13,
                "exe",
                'S',
                &*format!("4:memory:/docker/{id}\n"),
                "runsc-sandbox\0".to_owned(),
            ),
            (14, "docker", 'S', "0::/\n", format!("docker\0logs\0{id}\0")),
            (15, "conmon", 'S', "0::/\n", "conmon\0-c\0another\0".to_owned()),
            (16, "exe", 'Z', &*format!("0::/docker/{id}\n"), String::new()),
        ] {
            let folder = root.path().join(pid.to_string());
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("stat"), format!("{pid} ({name}) {state} 1 1")).unwrap();
            fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
            fs::write(folder.join("cgroup"), cgroup).unwrap();
            fs::write(folder.join("cmdline"), arguments).unwrap();
        }
        let procfs = Procfs::at(root.path());
        assert_eq!(of(&procfs, id), [11, 12, 13]);
        assert_eq!(of(&procfs, "docker"), [] as [u32; 0]);
        assert_eq!(of(&procfs, ""), [] as [u32; 0]);
    }
}
