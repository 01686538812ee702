//! Finding and removing the cgroups of a runner that died.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Cgroup, Layout, layout, procs, v2, within};
use crate::process::kill;

/// How long a killed process may take to leave.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills what is in the cgroups under `group`, removes them, and says what was found. Blocks up to some seconds.
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

/// The processes in a cgroup and in those within it.
fn all_procs(dir: &Path) -> Vec<u32> {
    let mut pids = procs(dir);
    pids.extend(within(dir).iter().flat_map(|inner| all_procs(inner)));
    pids
}
