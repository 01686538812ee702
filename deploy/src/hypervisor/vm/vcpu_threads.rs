//! The threads that execute a VM's virtual CPUs, found by name where no monitor reports them.

use std::fs;
use std::time::Duration;

use tokio::time::sleep;

use crate::hypervisor::qmp::Vcpu;

/// Polling interval.
const POLL: Duration = Duration::from_millis(5);
/// The name prefixes of Cloud Hypervisor and Firecracker.
const PREFIXES: [&str; 2] = ["vcpu", "fc_vcpu "];

/// Waits until there is one; all of a VM's are started at once.
pub(super) async fn wait_for(pid: u32) -> Vec<Vcpu> {
    loop {
        let found = list(pid);
        if !found.is_empty() {
            return found;
        }
        sleep(POLL).await;
    }
}

fn list(pid: u32) -> Vec<Vcpu> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<Vcpu> = threads
        .filter_map(|thread| {
            let name = fs::read_to_string(thread.path().join("comm")).ok()?;
            Some(Vcpu {
                index: index(name.trim_end())?,
                thread: thread.file_name().to_str()?.parse().ok()?,
            })
        })
        .collect();
    found.sort_by_key(|vcpu| vcpu.index);
    found
}

/// The virtual CPU that a thread of this name executes.
fn index(name: &str) -> Option<u32> {
    PREFIXES
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::index;

    #[test]
    fn vcpu_threads_are_numbered() {
        let numbers = ["vcpu0", "fc_vcpu 11", "vcpu", "vmm", "vcpu_manager"].map(index);
        assert_eq!(numbers, [Some(0), Some(11), None, None, None]);
    }
}
