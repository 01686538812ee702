//! Where the host's cgroup hierarchies are mounted.

use std::fs;
use std::path::PathBuf;

/// The hierarchies that services' cgroups are created in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Version 1: a hierarchy per controller.
    V1(Mounts),
    /// Version 2: one hierarchy.
    V2(PathBuf),
}

/// The mount points of the v1 controllers that Jung uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// Limits and accounts memory.
    pub memory: Option<PathBuf>,
    /// Restricts CPUs and NUMA nodes.
    pub cpuset: Option<PathBuf>,
    /// Accounts CPU time.
    pub cpuacct: Option<PathBuf>,
}

impl Layout {
    /// The layout of this host; `None`: it has no cgroups.
    #[must_use]
    pub fn of_this_host() -> Option<Self> {
        Self::read(&fs::read_to_string("/proc/self/mountinfo").ok()?)
    }

    /// Parses `mountinfo` (proc(5)). A controller is in one hierarchy only, so where version 1 has any that Jung uses, version 2 is mounted beside it (the
    /// "hybrid" layout) without controllers.
    #[must_use]
    pub fn read(mountinfo: &str) -> Option<Self> {
        let mut mounts = Mounts::default();
        let mut unified = None;
        for (point, options) in hierarchies(mountinfo) {
            match options {
                None => unified = unified.or(Some(point)),
                Some(options) => mounts.take(&point, options),
            }
        }
        if mounts == Mounts::default() {
            unified.map(Self::V2)
        } else {
            Some(Self::V1(mounts))
        }
    }

    /// 1 or 2.
    #[must_use]
    pub const fn version(&self) -> u8 {
        match self {
            Self::V1(_) => 1,
            Self::V2(_) => 2,
        }
    }

    /// The roots of all hierarchies, each once.
    #[must_use]
    pub fn roots(&self) -> Vec<PathBuf> {
        match self {
            Self::V1(mounts) => mounts.all(),
            Self::V2(mount) => vec![mount.clone()],
        }
    }

    /// The cgroup directory of a process, given its `/proc/<pid>/cgroup`, in the first hierarchy that Jung uses. Also `None` for a process in a root cgroup,
    /// which it shares with unrelated processes.
    #[must_use]
    pub fn dir_of(&self, memberships: &str) -> Option<PathBuf> {
        let in_mount = |controller: &str, mount: &PathBuf| {
            let path = memberships.lines().find_map(|line| {
                let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
                controllers.split(',').any(|name| name == controller).then_some(path)
            })?;
            let inside = path
                .strip_prefix('/')
                .filter(|inside| !inside.is_empty() && !inside.contains(".."))?;
            Some(mount.join(inside))
        };
        match self {
            Self::V1(mounts) => [
                ("memory", &mounts.memory),
                ("cpuset", &mounts.cpuset),
                ("cpuacct", &mounts.cpuacct),
            ]
            .into_iter()
            .find_map(|(controller, mount)| in_mount(controller, mount.as_ref()?)),
            Self::V2(mount) => in_mount("", mount),
        }
    }
}

/// The mount points of all hierarchies of this host, including those that Jung does not use.
pub(super) fn all_mounts() -> Vec<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut points: Vec<PathBuf> = hierarchies(&mountinfo).map(|(point, _)| point).collect();
    points.sort();
    points.dedup();
    points
}

/// The mount points of hierarchies, with the options of those of version 1.
fn hierarchies(mountinfo: &str) -> impl Iterator<Item = (PathBuf, Option<&str>)> {
    mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4).map(PathBuf::from)?;
        let mut right = right.split(' ');
        match (right.next(), right.nth(1)) {
            (Some("cgroup2"), _) => Some((point, None)),
            (Some("cgroup"), options @ Some(_)) => Some((point, options)),
            _ => None,
        }
    })
}

impl Mounts {
    /// The mount points, each once: `cpu,cpuacct` and others share one.
    #[must_use]
    pub fn all(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = [&self.memory, &self.cpuset, &self.cpuacct]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        all.sort();
        all.dedup();
        all
    }

    fn take(&mut self, point: &std::path::Path, options: &str) {
        for option in options.split(',') {
            let slot = match option {
                "memory" => &mut self.memory,
                "cpuset" => &mut self.cpuset,
                "cpuacct" => &mut self.cpuacct,
                _ => continue,
            };
            slot.get_or_insert_with(|| point.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_host_uses_version_1() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                    33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                    40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let layout = Layout::read(text).unwrap();
        assert_eq!(layout.version(), 1);
        let roots: Vec<PathBuf> = ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"]
            .map(PathBuf::from)
            .into();
        assert_eq!(layout.roots(), roots);
    }

    #[test]
    fn a_modern_host_uses_version_2() {
        let text = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(Layout::read(text), Some(Layout::V2("/sys/fs/cgroup".into())));
    }

    #[test]
    fn the_cgroup_of_a_process_is_found() {
        let v1 = Layout::V1(Mounts {
            cpuset: Some("/c".into()),
            cpuacct: Some("/a".into()),
            ..Mounts::default()
        });
        let text = "5:cpu,cpuacct:/docker/1f\n4:memory:/m\n3:cpuset:/\n1:name=systemd:/\n0::/\n";
        assert_eq!(v1.dir_of(text), Some("/a/docker/1f".into()));
        let v2 = Layout::V2("/g".into());
        assert_eq!(
            v2.dir_of("0::/system.slice/docker-1f.scope\n"),
            Some("/g/system.slice/docker-1f.scope".into())
        );
        for text in ["", "0::/", "0::/../x", "nonsense", "4:memory:/m"] {
            assert_eq!(v2.dir_of(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_host_without_cgroups_has_no_layout() {
        for text in [
            "",
            "nonsense",
            "1 2 0:3 / / rw - ext4 /dev/vda rw",
            "1 - cgroup2",
            " - cgroup x memory",
        ] {
            assert_eq!(Layout::read(text), None, "{text:?}");
        }
    }
}
