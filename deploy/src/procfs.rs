//! What the drivers ask of `/proc`: who is alive, whose child, with which environment. A process that vanished is a value, not an error.

use std::fs;
use std::path::PathBuf;

use crate::mark::Mark;

/// A `/proc`, or a recorded one.
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
    /// The process file system that is mounted at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Every process that can be seen, ascending.
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

    /// The state letter and the parent; `None`: gone.
    #[must_use]
    pub fn state(&self, pid: u32) -> Option<(char, u32)> {
        let stat = fs::read(self.root.join(pid.to_string()).join("stat")).ok()?;
        parse_stat(&String::from_utf8_lossy(&stat))
    }

    /// Whether a process runs: neither gone nor a zombie, which only waits to be reaped.
    #[must_use]
    pub fn is_alive(&self, pid: u32) -> bool {
        self.state(pid)
            .is_some_and(|(state, _)| !matches!(state, 'Z' | 'X' | 'x'))
    }

    /// The mark that a process bears; `None` also where its environment may not be read.
    #[must_use]
    pub fn mark(&self, pid: u32) -> Option<Mark> {
        Mark::in_environment(&fs::read(self.root.join(pid.to_string()).join("environ")).ok()?)
    }

    /// The living processes that bear a mark which `wanted` accepts. Never this process or one that it comes from, whatever their environment says.
    #[must_use]
    pub fn marked(&self, wanted: impl Fn(&Mark) -> bool) -> Vec<u32> {
        let own = self.ancestry(std::process::id());
        let mut pids = self.pids();
        pids.retain(|pid| {
            !own.contains(pid) && self.mark(*pid).is_some_and(|mark| wanted(&mark)) && self.is_alive(*pid)
        });
        pids
    }

    /// A process and all that come from it, living ones only. A process whose parent died in between is no longer among them.
    #[must_use]
    pub fn tree(&self, pid: u32) -> Vec<u32> {
        let parents: Vec<(u32, u32)> = self
            .pids()
            .into_iter()
            .filter_map(|pid| {
                let (state, parent) = self.state(pid)?;
                (!matches!(state, 'Z' | 'X' | 'x')).then_some((pid, parent))
            })
            .collect();
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

    /// A process's cgroup memberships, as `/proc/<pid>/cgroup` has them.
    #[must_use]
    pub fn cgroups(&self, pid: u32) -> Option<String> {
        fs::read_to_string(self.root.join(pid.to_string()).join("cgroup")).ok()
    }

    fn ancestry(&self, pid: u32) -> Vec<u32> {
        let mut line = vec![pid];
        let mut current = pid;
        while let Some((_, parent)) = self.state(current)
            && parent != 0
            && !line.contains(&parent)
        {
            line.push(parent);
            current = parent;
        }
        line
    }
}

/// State and parent out of a `stat` line. The command name may hold spaces and parentheses, so reading starts after the last one.
fn parse_stat(line: &str) -> Option<(char, u32)> {
    let mut fields = line.get(line.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some((state, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_wild_name_is_read() {
        assert_eq!(parse_stat("7 (a) S 9 (b) R 3 7 7 0 -1"), Some(('R', 3)));
        for short in ["", "7", "7 (a", "7 (a)", "7 (a) S", "7 (a) S x"] {
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
        assert_eq!(procfs.tree(99), [] as [u32; 0]);
        assert!(procfs.is_alive(14) && !procfs.is_alive(13) && !procfs.is_alive(16));
    }

    #[test]
    fn this_process_is_alive_and_not_among_the_marked() {
        let procfs = Procfs::default();
        assert!(procfs.is_alive(std::process::id()));
        assert!(!procfs.marked(|_| true).contains(&std::process::id()));
    }
}
