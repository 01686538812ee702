//! cgroup v1: a directory in each controller's hierarchy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::spec::{CpuSet, Resources};

use super::layout::Mounts;
use super::{Cgroup, host_swaps, make_dir};

/// Creates the directories and sets the limits.
pub(super) fn create(mounts: &Mounts, group: &str, leaf: &str, resources: &Resources) -> io::Result<Cgroup> {
    let mut cgroup = Cgroup {
        dirs: Vec::new(),
        deviations: Vec::new(),
        oom_file: None,
    };
    match fill(&mut cgroup, mounts, group, leaf, resources) {
        Ok(()) => Ok(cgroup),
        Err(error) => {
            let _ = cgroup.remove(std::time::Duration::ZERO);
            Err(error)
        }
    }
}

fn fill(cgroup: &mut Cgroup, mounts: &Mounts, group: &str, leaf: &str, resources: &Resources) -> io::Result<()> {
    for mount in mounts.all() {
        let group = mount.join(group);
        make_dir(&group)?;
        let dir = group.join(leaf);
        // Recorded first, so that it is removed if a later step fails.
        cgroup.dirs.push(dir.clone());
        if mounts.cpuset.as_ref() == Some(&mount) {
            inherit_cpuset(&mount, &group)?;
            make_dir(&dir)?;
            inherit_cpuset(&group, &dir)?;
        } else {
            make_dir(&dir)?;
        }
    }
    let dir = |mount: &Option<PathBuf>| mount.as_ref().map(|mount| mount.join(group).join(leaf));
    if let Some(mib) = resources.memory_mib {
        limit_memory(cgroup, dir(&mounts.memory).as_deref(), mib);
    }
    if let Some(cpus) = &resources.cpuset {
        let what = format!("the cgroup does not restrict the service to CPUs {cpus}");
        restrict(cgroup, dir(&mounts.cpuset).as_deref(), "cpuset.cpus", cpus, &what);
    }
    if let Some(mems) = &resources.mems {
        let what = format!("the cgroup does not restrict memory to NUMA nodes {mems}");
        restrict(cgroup, dir(&mounts.cpuset).as_deref(), "cpuset.mems", mems, &what);
    }
    cgroup.oom_file = dir(&mounts.memory).map(|dir| dir.join("memory.oom_control"));
    Ok(())
}

/// A new cpuset is empty, and no process may join it: it inherits the CPUs and memory nodes of its parent.
fn inherit_cpuset(parent: &Path, child: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if fs::read_to_string(child.join(file))?.trim().is_empty() {
            fs::write(child.join(file), fs::read_to_string(parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

fn limit_memory(cgroup: &mut Cgroup, dir: Option<&Path>, mib: u64) {
    let Some(dir) = dir else {
        cgroup.deviations.push(format!(
            "no memory limit of {mib} MiB: the memory controller is not mounted"
        ));
        return;
    };
    let bytes = mib.saturating_mul(1 << 20).to_string();
    if let Err(error) = fs::write(dir.join("memory.limit_in_bytes"), &bytes) {
        cgroup.deviations.push(format!("no memory limit of {mib} MiB: {error}"));
    } else if let Err(error) = fs::write(dir.join("memory.memsw.limit_in_bytes"), &bytes)
        && host_swaps()
    {
        cgroup
            .deviations
            .push(format!("the memory limit of {mib} MiB does not include swap: {error}"));
    }
}

fn restrict(cgroup: &mut Cgroup, dir: Option<&Path>, file: &str, set: &CpuSet, what: &str) {
    let outcome = match dir {
        Some(dir) => fs::write(dir.join(file), set.to_string()).map_err(|error| error.to_string()),
        None => Err("the cpuset controller is not mounted".to_owned()),
    };
    if let Err(why) = outcome {
        cgroup.deviations.push(format!("{what}: {why}"));
    }
}
