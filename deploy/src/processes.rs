//! Lists the processes of a service at any time, from any thread.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::procfs::{self, Procfs};

/// Where the kernel lists the processes of a service. This does not change while the service runs, so a sampler sees new processes without asking the
/// driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Processes {
    /// Exactly these.
    Fixed(Vec<u32>),
    /// The members of a cgroup.
    Cgroup {
        /// The service's first process.
        first: u32,
        /// The cgroup's directory in each hierarchy.
        dirs: Vec<PathBuf>,
    },
    /// A process and its live descendants. A process whose parent has died is no longer one of them.
    Tree(u32),
}

impl Processes {
    /// The service's first process; `None`: it was gone from the start.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        match self {
            Self::Fixed(pids) => pids.first().copied(),
            Self::Cgroup { first, .. } | Self::Tree(first) => Some(*first),
        }
    }

    /// The current processes, the first one first. Empty: all have ended.
    #[must_use]
    pub fn pids(&self, host: &Snapshot) -> Vec<u32> {
        match self {
            Self::Fixed(pids) => pids.clone(),
            Self::Cgroup { first, dirs } => {
                let mut pids = in_cgroups(dirs);
                pids.sort_by_key(|pid| pid != first);
                pids
            }
            Self::Tree(first) => procfs::descendants(host.parents(), *first),
        }
    }
}

/// The live processes of the host with their parents. `/proc` is scanned at the first use, once for all trees that are looked up.
#[derive(Debug, Default)]
pub struct Snapshot(OnceCell<Vec<(u32, u32)>>);

impl Snapshot {
    fn parents(&self) -> &[(u32, u32)] {
        self.0.get_or_init(|| Procfs::default().parents())
    }
}

/// The processes in any of these cgroup directories, in ascending order.
pub(crate) fn in_cgroups(dirs: &[PathBuf]) -> Vec<u32> {
    let mut pids: Vec<u32> = dirs.iter().flat_map(|dir| in_cgroup(dir)).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// The processes that a cgroup directory lists.
pub(crate) fn in_cgroup(dir: &Path) -> Vec<u32> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_comes_first_and_hierarchies_are_merged() {
        let root = tempfile::tempdir().unwrap();
        let dirs: Vec<PathBuf> = [("cpu", "12\n7\n9\n"), ("memory", "9\n12\n")]
            .map(|(name, pids)| {
                let dir = root.path().join(name);
                fs::create_dir(&dir).unwrap();
                fs::write(dir.join("cgroup.procs"), pids).unwrap();
                dir
            })
            .into();
        let processes = Processes::Cgroup { first: 9, dirs };
        assert_eq!(processes.pids(&Snapshot::default()), [9, 7, 12]);
        fs::write(root.path().join("memory/cgroup.procs"), "9\n12\n13\n").unwrap();
        assert_eq!(processes.pids(&Snapshot::default()), [9, 7, 12, 13], "born since");
        drop(root);
        assert_eq!(processes.pids(&Snapshot::default()), [] as [u32; 0]);
    }

    #[test]
    fn a_tree_is_looked_up_in_one_scan() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let host = Snapshot::default();
        let own = Processes::Tree(std::process::id()).pids(&host);
        assert_eq!(own.first(), Some(&std::process::id()));
        assert!(own.contains(&child.id()));
        assert_eq!(Processes::Tree(child.id()).pids(&host), [child.id()]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Processes::Tree(child.id()).pids(&Snapshot::default()), [] as [u32; 0]);
    }
}
