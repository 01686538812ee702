//! Finding and removing the cgroups of a runner that died.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::{Cgroup, Layout, procs, v2};
use crate::process::kill;

/// How long a killed process may take to leave.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills what is in the cgroups under `group`, removes them, and says what was found. Blocks up to some seconds.
#[must_use]
pub fn sweep(layout: &Layout, group: &str) -> Vec<String> {
    let mut bases = layout.roots();
    if let Layout::V2(mount) = layout {
        bases.extend(v2::delegated(mount));
    }
    let mut found = Vec::new();
    for base in bases {
        for dir in leaves(&base.join(group)) {
            for pid in procs(&dir) {
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

fn leaves(group: &std::path::Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|e| e.path())
        .collect()
}
