//! The threads that execute a VM's virtual CPUs, found by name where no monitor reports them.

use std::fs;
use std::time::Duration;

use tokio::time::sleep;

use crate::qemu::qmp::Vcpu;

/// Polling interval.
const LOOK: Duration = Duration::from_millis(5);
/// The name prefixes of Cloud Hypervisor and Firecracker.
const NAMES: [&str; 2] = ["vcpu", "fc_vcpu "];

/// Waits until there is one; all of a VM's are started at once.
pub(super) async fn vcpus(pid: u32) -> Vec<Vcpu> {
    loop {
        let found = now(pid);
        if !found.is_empty() {
            return found;
        }
        sleep(LOOK).await;
    }
}

fn now(pid: u32) -> Vec<Vcpu> {
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
    NAMES.iter().find_map(|begin| name.strip_prefix(begin)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::index;

    #[test]
    fn processors_have_numbers() {
        let numbers = ["vcpu0", "fc_vcpu 11", "vcpu", "vmm", "vcpu_manager"].map(index);
        assert_eq!(numbers, [Some(0), Some(11), None, None, None]);
    }
}
