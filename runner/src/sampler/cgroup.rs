//! The cgroup of a service, version 1 or 2.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::sample::{Counter, Counters};

use super::parse::cgroup::{File, V1, V2};
use super::reader::{Depth, Reader, Source, Sources};

/// Version 1's controller of CPU time, and its file.
const CPU_TIME: (&str, &str) = ("cpuacct", "cpuacct.usage");

/// Where the hierarchies are mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// Version 1, by controller.
    v1: BTreeMap<String, PathBuf>,
    /// Version 2.
    v2: Option<PathBuf>,
    /// Where version 1 has the CPU time of all tasks.
    root_cpuacct: Option<PathBuf>,
}

impl Mounts {
    /// Parses `mountinfo` (see proc(5)).
    #[must_use]
    pub fn read(mountinfo: &str) -> Self {
        let mut mounts = Self::default();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else {
                continue;
            };
            let mut left = left.split(' ').skip(3);
            let (Some(from), Some(point)) = (left.next(), left.next().map(PathBuf::from)) else {
                continue;
            };
            let mut right = right.split(' ');
            match (right.next(), right.nth(1)) {
                (Some("cgroup2"), _) => mounts.v2 = mounts.v2.or(Some(point)),
                (Some("cgroup"), Some(options)) => {
                    for controller in options.split(',').filter(|option| !option.contains('=')) {
                        if controller == CPU_TIME.0 && from == "/" {
                            mounts.root_cpuacct = mounts.root_cpuacct.take().or_else(|| Some(point.clone()));
                        }
                        mounts.v1.entry(controller.to_owned()).or_insert_with(|| point.clone());
                    }
                }
                _ => {}
            }
        }
        mounts
    }

    /// Whether version 1 has any controller that is read here.
    fn is_version_1(&self) -> bool {
        V1.iter().any(|file| self.v1.contains_key(file.controller))
    }

    /// The file with the CPU time of all tasks of the host, if version 1 has it. The root of version 2 only has clock ticks, as `/proc/stat` does.
    #[must_use]
    pub fn all_tasks(&self) -> Option<Source> {
        let mount = self.root_cpuacct.as_ref()?;
        let file = V1.iter().find(|file| (file.controller, file.name) == CPU_TIME)?;
        Some(Source {
            name: file.name,
            path: mount.join(file.name),
            quick: false,
            parse: file.parse,
        })
    }

    /// The files of a process's own cgroups, given its `/proc/PID/cgroup`. A hierarchy in which it shares a cgroup with `others`, such as the root or
    /// the runner's cgroup, does not account for it alone and is left out.
    fn files(&self, memberships: &str, others: &[&str]) -> Vec<Source> {
        let is_its_own = |line: &str, path: &str| {
            path != "/" && !others.iter().any(|other| other.lines().any(|shared| shared == line))
        };
        let mut found = Vec::new();
        for line in memberships.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
                continue;
            };
            let Some(inside) = path
                .strip_prefix('/')
                .filter(|_| is_its_own(line, path) && !path.contains(".."))
            else {
                continue;
            };
            let of = |files: &[File], mount: &Path, controller: &str| -> Vec<Source> {
                let files = files.iter().filter(|file| file.controller == controller);
                let source = |file: &File| Source {
                    name: file.name,
                    path: mount.join(inside).join(file.name),
                    quick: file.quick,
                    parse: file.parse,
                };
                files.map(source).collect()
            };
            // On a hybrid host version 2 is mounted beside version 1 and would count the same processes again.
            if controllers.is_empty() && !self.is_version_1() {
                found.extend(self.v2.iter().flat_map(|mount| of(V2, mount, "")));
            }
            for controller in controllers.split(',') {
                found.extend(
                    self.v1
                        .get(controller)
                        .iter()
                        .flat_map(|mount| of(V1, mount, controller)),
                );
            }
        }
        found
    }
}

/// The cgroup of one service.
#[derive(Debug)]
pub struct Cgroup(Sources);

impl Cgroup {
    /// The own cgroups of a service's first process; `None`: it has none, or the process is gone.
    pub fn find(root: &Path, mounts: &Mounts, pid: u32, reader: &mut Reader) -> Option<Self> {
        let of = |who: &str| fs::read_to_string(root.join(who).join("cgroup")).unwrap_or_default();
        let sources = mounts.files(&of(&pid.to_string()), &[&of("self")]);
        let sources = Sources::open(format!("the cgroup of pid {pid}"), sources.into_iter(), reader);
        (!sources.is_empty()).then_some(Self(sources))
    }

    /// Reads its counters.
    pub fn read(&self, depth: Depth, reader: &mut Reader) -> Counters {
        let mut counters = self.0.read(depth, reader);
        if depth > Depth::Quick && counters.get(Counter::CpuNs).is_none() {
            reader.notes.once("cgroup without cpu", || {
                "a service's cgroup has no CPU counter: the CPU time of its processes is summed instead".to_owned()
            });
        }
        if counters.get(Counter::LimitBytes).is_none_or(|limit| limit == 0) {
            counters = counters
                .iter()
                .filter(|(counter, _)| *counter != Counter::LimitBytes)
                .collect();
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                          35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                          40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                          41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn paths(sources: &[Source]) -> Vec<String> {
        sources.iter().map(|source| source.path.display().to_string()).collect()
    }

    #[test]
    fn a_hybrid_host_uses_version_1() {
        let mounts = Mounts::read(HYBRID);
        let found = mounts.files(
            "5:cpu,cpuacct:/docker/1f\n4:memory:/docker/1f\n1:name=systemd:/x\n0::/docker/1f\n",
            &[],
        );
        let paths = paths(&found);
        assert!(paths.contains(&"/sys/fs/cgroup/cpu,cpuacct/docker/1f/cpuacct.usage".to_owned()));
        assert!(paths.contains(&"/sys/fs/cgroup/memory/docker/1f/memory.stat".to_owned()));
        assert!(
            paths
                .iter()
                .all(|path| !path.contains("unified") && !path.contains("systemd"))
        );
    }

    #[test]
    fn a_shared_cgroup_is_not_read() {
        let mounts = Mounts::read(HYBRID);
        let own = "5:cpu,cpuacct:/user\n4:memory:/docker/1f\n";
        let found = mounts.files(own, &["5:cpu,cpuacct:/user\n4:memory:/user\n"]);
        assert!(!found.is_empty() && paths(&found).iter().all(|path| path.contains("/memory/")));
        for bad in ["", "0::/", "nonsense", "5:cpuacct:/../x\n", "9:net_cls:/docker/1f\n"] {
            assert!(mounts.files(bad, &[]).is_empty(), "{bad:?}");
        }
    }

    #[test]
    fn version_2_has_one_directory() {
        let mounts = Mounts::read("35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
        let found = mounts.files("0::/system.slice/docker-1f.scope\n", &["0::/user.slice\n"]);
        let paths = paths(&found);
        assert_eq!(paths.len(), V2.len());
        assert!(paths.contains(&"/sys/fs/cgroup/system.slice/docker-1f.scope/cpu.stat".to_owned()));
    }

    /// A recorded tree: mounts, files with their contents, and the `/proc/PID/cgroup` of a member.
    type Recorded<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

    #[test]
    fn a_recorded_cgroup_of_each_version_is_read() {
        let trees: [Recorded<'_>; 2] = [
            (
                "1 2 0:3 / {root}/cpuacct rw - cgroup cgroup rw,cpuacct\n1 2 0:4 / {root}/memory rw - cgroup cgroup rw,memory\n",
                &[
                    ("cpuacct/g/cpuacct.usage", "500\n"),
                    ("memory/g/memory.usage_in_bytes", "12288\n"),
                    ("memory/g/memory.limit_in_bytes", "9223372036854771712\n"),
                    (
                        "memory/g/memory.stat",
                        "total_rss 4096\ntotal_cache 8192\ntotal_inactive_file 4096\n",
                    ),
                ],
                "3:cpuacct:/g\n2:memory:/g\n",
            ),
            (
                "1 2 0:3 / {root} rw - cgroup2 cgroup2 rw\n",
                &[
                    ("g/cpu.stat", "usage_usec 0\nuser_usec 0\nsystem_usec 0\n"),
                    ("g/memory.current", "12288\n"),
                    ("g/memory.max", "max\n"),
                    ("g/memory.stat", "anon 4096\nfile 8192\ninactive_file 4096\n"),
                ],
                "0::/g\n",
            ),
        ];
        for (mountinfo, files, membership) in trees {
            let root = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            fs::create_dir(root.path().join("7")).unwrap();
            fs::write(root.path().join("7/cgroup"), membership).unwrap();
            let mounts = Mounts::read(&mountinfo.replace("{root}", &root.path().display().to_string()));
            let mut reader = Reader::new(4096);
            let cgroup = Cgroup::find(root.path(), &mounts, 7, &mut reader).unwrap();
            let counters = cgroup.read(Depth::Full, &mut reader);
            for (counter, value) in [
                (Counter::MemoryBytes, Some(12288)),
                (Counter::AnonBytes, Some(4096)),
                (Counter::FileBytes, Some(8192)),
                (Counter::InactiveFileBytes, Some(4096)),
                (Counter::LimitBytes, None),
                (Counter::PeakBytes, None),
            ] {
                assert_eq!(counters.get(counter), value, "{counter}, {membership}");
            }
            assert!(counters.get(Counter::CpuNs).is_some());
            assert!(Cgroup::find(root.path(), &mounts, 8, &mut reader).is_none());
        }
    }
}
