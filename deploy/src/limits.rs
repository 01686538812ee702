//! Refuses limits that this host cannot provide, before anything is started.

use std::fs;

use protocol::spec::{CpuSet, Resources};

use crate::DeployError;

/// Refuses CPUs and NUMA nodes that are not online on this host, and a memory limit of 0.
///
/// # Errors
/// [`DeployError::Unmet`].
pub fn check(resources: &Resources) -> Result<(), DeployError> {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let nodes = fs::read_to_string("/sys/devices/system/node/online").unwrap_or_default();
    check_nodes(resources, nodes.trim().parse().ok().as_ref())?;
    check_cpus_and_memory(resources, online.trim().parse().ok().as_ref())
}

fn check_nodes(resources: &Resources, online: Option<&CpuSet>) -> Result<(), DeployError> {
    let Some(wanted) = &resources.mems else { return Ok(()) };
    let there = online.map_or(&[][..], CpuSet::cpus);
    match wanted.cpus().iter().find(|node| !there.contains(node)) {
        None => Ok(()),
        Some(node) => Err(DeployError::Unmet {
            need: format!("mems {wanted} asks for NUMA node {node}, which this host does not have"),
            remedy: online.map_or_else(
                || "leave mems out: this kernel reports no NUMA nodes".to_owned(),
                |online| format!("use nodes out of {online}"),
            ),
        }),
    }
}

fn check_cpus_and_memory(resources: &Resources, online: Option<&CpuSet>) -> Result<(), DeployError> {
    if resources.memory_mib == Some(0) {
        return Err(DeployError::Unmet {
            need: "a memory limit of 0 MiB leaves no memory to run in".into(),
            remedy: "set memory_mib to 8 or more, or leave it out".into(),
        });
    }
    let (Some(wanted), Some(online)) = (&resources.cpuset, online) else {
        return Ok(());
    };
    match wanted.cpus().iter().find(|cpu| !online.cpus().contains(cpu)) {
        None => Ok(()),
        Some(cpu) => Err(DeployError::Unmet {
            need: format!("cpuset {wanted} asks for CPU {cpu}, which this host does not have online"),
            remedy: format!("use CPUs out of {online}"),
        }),
    }
}

/// NUMA nodes as the bit mask that `set_mempolicy` takes.
#[must_use]
pub fn nodemask(nodes: &CpuSet) -> Vec<u64> {
    let highest = nodes.cpus().last().map_or(0, |&node| node as usize);
    let mut mask = vec![0u64; highest / 64 + 1];
    for &node in nodes.cpus() {
        mask[node as usize / 64] |= 1 << (node % 64);
    }
    mask
}

/// CPUs as the set that `sched_setaffinity` takes; `None`: a number is too large for it.
#[must_use]
pub fn affinity(cpus: &CpuSet) -> Option<nix::sched::CpuSet> {
    let mut set = nix::sched::CpuSet::new();
    cpus.cpus()
        .iter()
        .try_for_each(|&cpu| set.set(usize::try_from(cpu).ok()?).ok())?;
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_cpu_is_named() {
        let resources = Resources {
            cpuset: Some("1-3".parse().unwrap()),
            ..Resources::default()
        };
        let error = check_cpus_and_memory(&resources, Some(&"0-1".parse().unwrap()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("CPU 2") && error.contains("out of 0-1"), "{error}");
        check_cpus_and_memory(&resources, Some(&"0-7".parse().unwrap())).unwrap();
        check_cpus_and_memory(&resources, None).unwrap();
    }

    #[test]
    fn a_memory_limit_of_zero_is_refused() {
        assert!(
            check(&Resources {
                memory_mib: Some(0),
                ..Resources::default()
            })
            .is_err()
        );
        check(&Resources::default()).unwrap();
    }

    #[test]
    fn a_missing_node_is_named() {
        let resources = Resources {
            mems: Some("0-1".parse().unwrap()),
            ..Resources::default()
        };
        let message = |online: Option<&CpuSet>| check_nodes(&resources, online).unwrap_err().to_string();
        let one = message(Some(&"0".parse().unwrap()));
        assert!(one.contains("node 1") && one.contains("out of 0"), "{one}");
        assert!(message(None).contains("leave mems out"));
        check_nodes(&resources, Some(&"0-3".parse().unwrap())).unwrap();
        check_nodes(&Resources::default(), None).unwrap();
        assert_eq!(nodemask(&"0,3,64".parse().unwrap()), [0b1001, 1]);
    }

    #[test]
    fn a_cpuset_becomes_an_affinity() {
        let set = affinity(&"0,2".parse().unwrap()).unwrap();
        assert_eq!([0, 1, 2].map(|cpu| set.is_set(cpu).unwrap()), [true, false, true]);
        assert!(affinity(&"4095".parse().unwrap()).is_none());
    }
}
