//! Finds and removes the cgroups of a crashed runner.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Cgroup, Layout, layout, procs, v2, within};
use crate::process::kill;

/// How long a killed process may take to leave its cgroup.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills the processes in the cgroups under `group` and removes the cgroups. Returns a line for each. Blocks for up to some seconds.
#[must_use]
pub fn sweep(layout: &Layout, group: &str) -> Vec<String> {
    let mut bases = layout::everywhere();
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
                unkept: Vec::new(),
                oom_file: None,
            };
            found.extend(
                cgroup
                    .remove(PATIENCE)
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
    let mut pids = procs(dir);
    pids.extend(within(dir).iter().flat_map(|inner| all_procs(inner)));
    pids
}
