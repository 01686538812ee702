//! Finds and removes what services leave behind.

use std::time::Duration;

use protocol::ids::Name;

use crate::cgroup::Cgroup;
use crate::mark::Mark;
use crate::process;
use crate::procfs::Procfs;

/// How long a cgroup may take to become removable after its processes were killed.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Kills every process that carries a runner's mark. Returns a line for each.
pub(crate) async fn kill_marked(runner: &Name) -> Vec<String> {
    let procfs = Procfs::default();
    let marked = || procfs.marked(|mark| mark.runner == *runner);
    let mut found: Vec<String> = marked().iter().map(|pid| format!("killed marked pid {pid}")).collect();
    process::kill_all(marked).await;
    found.extend(marked().iter().map(|pid| format!("could not kill pid {pid}")));
    found
}

/// All live processes of a service: those in its process group and in its cgroup, and those that carry its mark wherever they went.
pub(crate) fn service_processes(mark: &Mark, leader: u32, cgroup: Option<&Cgroup>) -> Vec<u32> {
    let procfs = Procfs::default();
    let mut pids = procfs.marked(|other| other == mark);
    pids.extend(procfs.group(leader));
    pids.extend(cgroup.map(Cgroup::pids).unwrap_or_default());
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Kills all processes of a service. Returns those that are left.
pub(crate) async fn kill_service(mark: &Mark, leader: u32, cgroup: Option<&Cgroup>) -> Vec<String> {
    let processes = || service_processes(mark, leader, cgroup);
    process::kill_all(processes).await;
    let left = processes().into_iter();
    left.map(|pid| format!("pid {pid} of {}", mark.service)).collect()
}

/// Kills all processes of a service without waiting, for destructors. The cgroup is removed in the background, once the killed processes have left it.
pub(crate) fn kill_service_detached(mark: &Mark, leader: u32, cgroup: Option<Cgroup>) {
    service_processes(mark, leader, cgroup.as_ref())
        .into_iter()
        .for_each(process::kill);
    if let Some(cgroup) = cgroup {
        std::thread::spawn(move || cgroup.remove(REMOVAL_TIMEOUT));
    }
}

/// Removes a cgroup once its processes have left it. Returns what could not be removed.
pub(crate) async fn remove_cgroup(cgroup: Cgroup) -> Vec<String> {
    tokio::task::spawn_blocking(move || cgroup.remove(REMOVAL_TIMEOUT))
        .await
        .unwrap_or_default()
}
