//! What the drivers read from `/proc`: which processes are alive, their parents and environments. A process that vanished is a value, not an error.

use std::fs;
use std::path::{Path, PathBuf};

use crate::mark::Mark;

/// `/proc`, or a recorded copy.
#[derive(Clone, Debug)]
pub struct Procfs {
    root: PathBuf,
}

impl Default for Procfs {
    fn default() -> Self {
        Self { root: "/proc".into() }
    }
}

impl Procfs {
    /// The proc file system at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// All visible processes, in ascending order.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return Vec::new();
        };
        let mut pids: Vec<u32> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        pids.sort_unstable();
        pids
    }

    /// A process's `stat`; `None`: it is gone.
    #[must_use]
    pub fn stat(&self, pid: u32) -> Option<Stat> {
        let stat = fs::read(self.root.join(pid.to_string()).join("stat")).ok()?;
        parse_stat(&String::from_utf8_lossy(&stat))
    }

    /// A process's name as the kernel stores it, at most 15 bytes. `None`: it is gone.
    #[must_use]
    pub fn name(&self, pid: u32) -> Option<String> {
        let name = fs::read(self.root.join(pid.to_string()).join("comm")).ok()?;
        Some(String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned())
    }

    /// A process's arguments; none if it is gone or a kernel thread.
    #[must_use]
    pub fn arguments(&self, pid: u32) -> Vec<String> {
        let words = fs::read(self.root.join(pid.to_string()).join("cmdline")).unwrap_or_default();
        let words = words.split(|&byte| byte == 0).filter(|word| !word.is_empty());
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    /// Whether a process is running: neither gone nor a zombie, which only waits to be reaped.
    #[must_use]
    pub fn is_alive(&self, pid: u32) -> bool {
        self.stat(pid).is_some_and(Stat::is_alive)
    }

    /// A process's mark; also `None` if its environment cannot be read.
    #[must_use]
    pub fn mark(&self, pid: u32) -> Option<Mark> {
        Mark::in_environment(&fs::read(self.root.join(pid.to_string()).join("environ")).ok()?)
    }

    /// The live processes whose working directory is below a directory, which has no links in its path.
    #[must_use]
    pub fn working_below(&self, dir: &Path) -> Vec<u32> {
        let own = self.ancestry(std::process::id());
        let is_below = |pid: &u32| {
            let cwd = fs::read_link(self.root.join(pid.to_string()).join("cwd"));
            cwd.is_ok_and(|cwd| cwd.starts_with(dir))
        };
        let mut pids = self.pids();
        pids.retain(|pid| !own.contains(pid) && is_below(pid) && self.is_alive(*pid));
        pids
    }

    /// The live processes whose mark `wanted` accepts, except this process and its ancestors, whatever their environments contain.
    #[must_use]
    pub fn marked(&self, wanted: impl Fn(&Mark) -> bool) -> Vec<u32> {
        let own = self.ancestry(std::process::id());
        let mut pids = self.pids();
        pids.retain(|pid| {
            !own.contains(pid) && self.mark(*pid).is_some_and(|mark| wanted(&mark)) && self.is_alive(*pid)
        });
        pids
    }

    /// A process and its live descendants. A process whose parent has died is no longer among them.
    #[must_use]
    pub fn tree(&self, pid: u32) -> Vec<u32> {
        descendants(&self.parents(), pid)
    }

    /// All live processes with their parents.
    #[must_use]
    pub fn parents(&self) -> Vec<(u32, u32)> {
        self.alive().into_iter().map(|(pid, stat)| (pid, stat.parent)).collect()
    }

    /// The live processes of a process group.
    #[must_use]
    pub fn group(&self, group: u32) -> Vec<u32> {
        self.alive()
            .into_iter()
            .filter(|(_, stat)| stat.group == group)
            .map(|(pid, _)| pid)
            .collect()
    }

    fn alive(&self) -> Vec<(u32, Stat)> {
        let stats = self.pids().into_iter().filter_map(|pid| Some((pid, self.stat(pid)?)));
        stats.filter(|(_, stat)| stat.is_alive()).collect()
    }

    /// A process's cgroup memberships, in the form of `/proc/<pid>/cgroup`.
    #[must_use]
    pub fn cgroups(&self, pid: u32) -> Option<String> {
        fs::read_to_string(self.root.join(pid.to_string()).join("cgroup")).ok()
    }

    fn ancestry(&self, pid: u32) -> Vec<u32> {
        let mut line = vec![pid];
        let mut current = pid;
        while let Some(Stat { parent, .. }) = self.stat(current)
            && parent != 0
            && !line.contains(&parent)
        {
            line.push(parent);
            current = parent;
        }
        line
    }
}

/// A process and its descendants among processes given with their parents.
pub(crate) fn descendants(parents: &[(u32, u32)], pid: u32) -> Vec<u32> {
    let mut tree: Vec<u32> = parents
        .iter()
        .filter(|(child, _)| *child == pid)
        .map(|(child, _)| *child)
        .collect();
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        tree.extend(
            parents
                .iter()
                .filter(|(child, of)| *of == parent && *child != parent)
                .map(|(child, _)| *child),
        );
        next += 1;
    }
    tree
}

/// The relevant fields of a process's `stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The state letter: `R`, `S`, `D`, `Z`, ...
    pub state: char,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
}

impl Stat {
    /// Whether it is running: a zombie only waits to be reaped.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Parses a `stat` line. The command name may contain spaces and parentheses, so fields are read from the last parenthesis on.
fn parse_stat(line: &str) -> Option<Stat> {
    let mut fields = line.get(line.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Stat { state, parent, group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_parentheses_in_the_name_is_parsed() {
        let stat = Stat {
            state: 'R',
            parent: 3,
            group: 5,
        };
        assert_eq!(parse_stat("7 (a) S 9 (b) R 3 5 7 0 -1"), Some(stat));
        for short in ["", "7", "7 (a", "7 (a)", "7 (a) S", "7 (a) S x", "7 (a) S 1"] {
            assert_eq!(parse_stat(short), None, "{short:?}");
        }
    }

    #[test]
    fn a_recorded_tree_is_walked_without_zombies() {
        let dir = tempfile::tempdir().unwrap();
        for (pid, stat) in [
            (10, "10 (init) S 0 1"),
            (11, "11 (a) S 10 1"),
            (12, "12 (b) S 11 1"),
            (13, "13 (gone) Z 11 1"),
            (14, "14 (other) S 10 1"),
            (15, "15 (c) R 12 1"),
        ] {
            fs::create_dir(dir.path().join(pid.to_string())).unwrap();
            fs::write(dir.path().join(pid.to_string()).join("stat"), stat).unwrap();
        }
        fs::create_dir(dir.path().join("16")).unwrap();
        let procfs = Procfs::at(dir.path());
        assert_eq!(procfs.tree(11), [11, 12, 15]);
        assert_eq!(procfs.group(1), [10, 11, 12, 14, 15]);
        assert_eq!(procfs.tree(99), [] as [u32; 0]);
        assert!(procfs.is_alive(14) && !procfs.is_alive(13) && !procfs.is_alive(16));
    }

    #[test]
    fn this_process_is_alive_and_never_marked() {
        let procfs = Procfs::default();
        assert!(procfs.is_alive(std::process::id()));
        assert!(!procfs.marked(|_| true).contains(&std::process::id()));
    }
}
