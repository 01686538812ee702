//! cgroup v2: one directory, whose controllers must be enabled in its ancestors first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::spec::Resources;

use super::{Cgroup, host_swaps, make_dir};

/// Creates the directory and sets the limits: under the root of the hierarchy where that is allowed, else next to this process's own cgroup, where
/// systemd's `Delegate=` with `DelegateSubgroup=` lets a service create cgroups.
pub(super) fn create(mount: &Path, group: &str, leaf: &str, resources: &Resources) -> io::Result<Cgroup> {
    let root = create_under(mount, group, leaf, resources);
    match (root, delegated(mount)) {
        (Err(_), Some(base)) => create_under(&base, group, leaf, resources),
        (outcome, _) => outcome,
    }
}

/// The parent of this process's own cgroup.
pub(super) fn delegated(mount: &Path) -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let parent = Path::new(path).parent()?;
    (!parent.as_os_str().is_empty()).then(|| mount.join(parent))
}

fn create_under(base: &Path, group: &str, leaf: &str, resources: &Resources) -> io::Result<Cgroup> {
    let group = base.join(group);
    make_dir(&group)?;
    for dir in [base, &group] {
        for controller in ["+cpu", "+memory", "+cpuset"] {
            // A controller that cannot be enabled has no file below, and is reported there.
            let _ = fs::write(dir.join("cgroup.subtree_control"), controller);
        }
    }
    let dir = group.join(leaf);
    if let Err(error) = make_dir(&dir) {
        let _ = fs::remove_dir(&group);
        return Err(error);
    }
    let mut cgroup = Cgroup {
        oom_file: Some(dir.join("memory.events")),
        dirs: vec![dir.clone()],
        deviations: Vec::new(),
    };
    cgroup.deviations = limit(&dir, resources);
    Ok(cgroup)
}

/// Sets the limits and returns those that could not be set. Writing never creates an interface file of cgroup2, so a missing one is an error.
fn limit(dir: &Path, resources: &Resources) -> Vec<String> {
    let mut deviations = Vec::new();
    let mut set = |file: &str, value: &str, what: &str| {
        let written = fs::OpenOptions::new()
            .write(true)
            .open(dir.join(file))
            .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
        if let Err(error) = written {
            deviations.push(format!("{what}: {error}"));
        }
    };
    if let Some(mib) = resources.memory_mib {
        let bytes = mib.saturating_mul(1 << 20).to_string();
        set("memory.max", &bytes, &format!("no memory limit of {mib} MiB"));
        if host_swaps() {
            set(
                "memory.swap.max",
                "0",
                &format!("the memory limit of {mib} MiB does not include swap"),
            );
        }
    }
    if let Some(cpus) = &resources.cpuset {
        set(
            "cpuset.cpus",
            &cpus.to_string(),
            &format!("the cgroup does not restrict the service to CPUs {cpus}"),
        );
    }
    if let Some(mems) = &resources.mems {
        set(
            "cpuset.mems",
            &mems.to_string(),
            &format!("the cgroup does not restrict memory to NUMA nodes {mems}"),
        );
    }
    deviations
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plain directory stands in for the hierarchy: the limits go to the files that the kernel provides.
    #[test]
    fn limits_go_to_the_files_of_version_2() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["memory.max", "memory.swap.max", "cpuset.cpus", "cpuset.mems"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let resources = Resources {
            cpuset: Some("0-1".parse().unwrap()),
            mems: Some("0".parse().unwrap()),
            memory_mib: Some(64),
        };
        assert_eq!(limit(dir.path(), &resources), [] as [String; 0]);
        assert_eq!(fs::read_to_string(dir.path().join("memory.max")).unwrap(), "67108864");
        assert_eq!(fs::read_to_string(dir.path().join("cpuset.cpus")).unwrap(), "0-1");
        assert_eq!(fs::read_to_string(dir.path().join("cpuset.mems")).unwrap(), "0");
    }

    #[test]
    fn a_missing_controller_is_a_deviation() {
        let dir = tempfile::tempdir().unwrap();
        let resources = Resources {
            cpuset: Some("0".parse().unwrap()),
            mems: None,
            memory_mib: Some(64),
        };
        let deviations = limit(dir.path(), &resources).join("; ");
        assert!(
            deviations.contains("no memory limit of 64 MiB") && deviations.contains("restrict the service to CPUs 0"),
            "{deviations}"
        );
    }
}
