//! A cgroup for each service, in version 1 or 2.
//!
//! It is directly under the root of each hierarchy, like Docker's with the `cgroupfs` driver, so native services and containers are accounted at the same
//! depth: `<mount>/jung-<runner>/<attempt>-<service>`. Which controllers are available differs between hosts; a limit that cannot be enforced is a deviation
//! and does not fail the start.
//!
//! Joining a cgroup takes time that counts as start-up: 11 to 15 ms were measured here with version 1 and Linux 6.18, and next to nothing within 100 ms of
//! another move. That is consistent with the RCU grace period behind the kernel's `cgroup_threadgroup_rwsem`, which was not traced; whether containers pay
//! the same was not measured.

mod layout;
mod v1;
mod v2;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::spec::Resources;

use crate::mark::{self, Mark};
use crate::oom;
use crate::process::kill;
use crate::processes::{Processes, in_cgroup, in_cgroups};

pub use layout::{Layout, Mounts};

/// How often a creation that raced with a removal is retried.
const RETRIES: usize = 10;

/// How long a killed process may take to leave its cgroup.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A service's cgroup: a directory in each hierarchy that is used.
#[derive(Debug)]
pub struct Cgroup {
    dirs: Vec<PathBuf>,
    /// The limits that could not be set.
    deviations: Vec<String>,
    /// The file with the line `oom_kill N`.
    oom_file: Option<PathBuf>,
}

impl Cgroup {
    /// Creates `<group>/<leaf>` and sets the limits.
    ///
    /// # Errors
    /// If it cannot be created. Then nothing of it is left.
    pub fn create(layout: &Layout, group: &str, leaf: &str, resources: &Resources) -> io::Result<Self> {
        let create = || match layout {
            Layout::V1(mounts) => v1::create(mounts, group, leaf, resources),
            Layout::V2(mount) => v2::create(mount, group, leaf, resources),
        };
        // The last service to leave the group removes it, perhaps between the creation of the group and that of the leaf.
        let vanished =
            |outcome: &io::Result<Self>| matches!(outcome, Err(error) if error.kind() == io::ErrorKind::NotFound);
        let mut outcome = create();
        for _ in 0..RETRIES {
            if !vanished(&outcome) {
                break;
            }
            outcome = create();
        }
        outcome
    }

    /// The cgroups of these names in the group that another program has created, in every hierarchy of the host.
    #[must_use]
    pub fn created_by_others(group: &str, leaves: &[String]) -> Self {
        let groups = layout::all_mounts().into_iter().map(|mount| mount.join(group));
        Self {
            dirs: groups
                .flat_map(|group| leaves.iter().map(move |leaf| group.join(leaf)))
                .collect(),
            deviations: Vec::new(),
            oom_file: None,
        }
    }

    /// The limits that could not be set.
    #[must_use]
    pub fn deviations(&self) -> &[String] {
        &self.deviations
    }

    /// The `cgroup.procs` files, to which a process writes `0` to join.
    ///
    /// # Errors
    /// If one cannot be opened for writing.
    pub fn procs_files(&self) -> io::Result<Vec<fs::File>> {
        self.dirs
            .iter()
            .map(|dir| fs::OpenOptions::new().write(true).open(dir.join("cgroup.procs")))
            .collect()
    }

    /// The processes in it.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        in_cgroups(&self.dirs)
    }

    /// The number of its processes that the kernel has killed for lack of memory.
    #[must_use]
    pub fn oom_kills(&self) -> u64 {
        let text = self
            .oom_file
            .as_ref()
            .and_then(|file| fs::read_to_string(file).ok())
            .unwrap_or_default();
        oom::kills(&text).unwrap_or(0)
    }

    /// Removes it, waiting up to `patience` for the last process to leave. Returns what could not be removed.
    #[must_use]
    pub fn remove(&self, patience: Duration) -> Vec<String> {
        let until = Instant::now() + patience;
        loop {
            let left: Vec<&PathBuf> = self.dirs.iter().filter(|dir| !remove_dir(dir)).collect();
            if left.is_empty() || Instant::now() >= until {
                return left.iter().map(|dir| format!("cgroup {}", dir.display())).collect();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Kills the processes in the cgroups under `group` and removes the cgroups. Returns a line for each. Blocks for up to some seconds.
#[must_use]
pub fn sweep(layout: &Layout, group: &str) -> Vec<String> {
    let mut bases = layout::all_mounts();
    if let Layout::V2(mount) = layout {
        bases.extend(v2::delegated(mount));
    }
    let mut found = Vec::new();
    for base in bases {
        for dir in within(&base.join(group)) {
            for pid in all_procs(&dir) {
                kill(pid);
                found.push(format!("killed pid {pid} in cgroup {}", dir.display()));
            }
            found.push(format!("removed cgroup {}", dir.display()));
            let cgroup = Cgroup {
                dirs: vec![dir],
                deviations: Vec::new(),
                oom_file: None,
            };
            found.extend(
                cgroup
                    .remove(REMOVAL_TIMEOUT)
                    .into_iter()
                    .map(|left| format!("could not remove {left}")),
            );
        }
        let _ = fs::remove_dir(base.join(group));
    }
    found
}

/// The processes of a cgroup and its descendants.
fn all_procs(dir: &Path) -> Vec<u32> {
    let mut pids = in_cgroup(dir);
    pids.extend(within(dir).iter().flat_map(|inner| all_procs(inner)));
    pids
}

/// The children of a cgroup.
fn within(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).collect()
}

/// Removes a cgroup directory with its descendants, and its parent if that is empty then; `true`: it is gone.
fn remove_dir(dir: &Path) -> bool {
    for inner in within(dir) {
        remove_dir(&inner);
    }
    let gone = match fs::remove_dir(dir) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if gone && let Some(group) = dir.parent() {
        // Fails, as it should, while another service is in it.
        let _ = fs::remove_dir(group);
    }
    gone
}

/// Creates the cgroup of a service with these limits. Returns the limits that it cannot enforce.
pub(crate) fn for_service(
    layout: Option<&Layout>,
    mark: &Mark,
    resources: &Resources,
) -> (Option<Cgroup>, Vec<String>) {
    let Some(layout) = layout else {
        return (None, without_cgroup(resources, "this host has no cgroups"));
    };
    match Cgroup::create(layout, &mark::cgroup_group(&mark.runner), &mark.cgroup(), resources) {
        Ok(cgroup) => {
            let deviations = cgroup.deviations().to_vec();
            (Some(cgroup), deviations)
        }
        Err(error) => (
            None,
            without_cgroup(resources, &format!("creating a cgroup failed: {error}")),
        ),
    }
}

/// Where the processes of a service can be listed: in its cgroup, or else below its first process.
pub(crate) fn processes(cgroup: Option<&Cgroup>, first: u32) -> Processes {
    match cgroup {
        Some(cgroup) => Processes::Cgroup {
            first,
            dirs: cgroup.dirs.clone(),
        },
        None => Processes::Tree(first),
    }
}

/// The limits that a service without a cgroup lacks.
pub(crate) fn without_cgroup(resources: &Resources, why: &str) -> Vec<String> {
    let memory = resources
        .memory_mib
        .map(|mib| format!("no memory limit of {mib} MiB: {why}"));
    let cpus = resources
        .cpuset
        .as_ref()
        .map(|cpus| format!("CPUs {cpus} are set as an affinity only, which a service may change: {why}"));
    let mems = resources
        .mems
        .as_ref()
        .map(|mems| format!("NUMA nodes {mems} are set as a memory policy only, which a service may change: {why}"));
    memory.into_iter().chain(cpus).chain(mems).collect()
}

/// Creates a directory unless it exists.
fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Whether a swap limit can be set and makes a difference.
pub(crate) fn limits_swap(layout: &Layout) -> bool {
    match layout {
        Layout::V1(mounts) => {
            let file = mounts
                .memory
                .as_ref()
                .map(|mount| mount.join("memory.memsw.limit_in_bytes"));
            file.is_some_and(|file| file.exists())
        }
        Layout::V2(_) => host_swaps(),
    }
}

/// Whether the host has swap: only then does a limit make a difference.
fn host_swaps() -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}
