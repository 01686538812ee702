//! The CPUs and NUMA nodes that the services may use, read back from the kernel after their start and compared with the RUN.

use std::collections::BTreeSet;

use deploy::Snapshot;
use protocol::event::Placement;
use protocol::spec::{CpuSet, Resources};

use crate::facts::tree::{Tree, value};
use crate::sampler::{Service, Targets};

/// The placement of every service: the union over all threads of its processes.
pub(super) fn of(tree: &Tree, targets: &Targets) -> Vec<Placement> {
    let host = Snapshot::default();
    let one = |target: &Service| {
        let pids = target.processes.pids(&host).into_iter();
        let statuses: Vec<String> = pids.flat_map(|pid| statuses(tree, pid)).collect();
        Placement {
            service: target.name.clone(),
            cpus: union(&statuses, "Cpus_allowed_list"),
            mems: union(&statuses, "Mems_allowed_list"),
        }
    };
    targets.services.iter().map(one).collect()
}

/// The differences from the RUN.
pub(super) fn deviations(placement: &[Placement], requested: &Resources) -> Vec<String> {
    let mut found = Vec::new();
    for service in placement {
        let mut compare = |what: &str, actual: &Option<CpuSet>, requested: &Option<CpuSet>| {
            let (Some(actual), Some(requested)) = (actual, requested) else {
                return;
            };
            if actual != requested {
                found.push(format!(
                    "{} may use {what} {actual}, but {requested} was requested",
                    service.service
                ));
            }
        };
        compare("CPUs", &service.cpus, &requested.cpuset);
        compare("memory of NUMA nodes", &service.mems, &requested.mems);
    }
    found
}

/// The `status` of every thread of a process.
fn statuses(tree: &Tree, pid: u32) -> Vec<String> {
    let threads = tree.numbered(&format!("proc/{pid}/task"), "").into_iter();
    threads
        .filter_map(|(_, thread)| tree.text(&format!("{thread}/status")))
        .collect()
}

fn union(statuses: &[String], key: &str) -> Option<CpuSet> {
    let lists = statuses.iter().filter_map(|status| value(status, key));
    let each: BTreeSet<&str> = lists.collect();
    let all: Vec<&str> = each.into_iter().collect();
    all.join(",").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::name;

    fn set(text: &str) -> Option<CpuSet> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_thread_on_other_cpus_is_a_deviation() {
        let root = tempfile::tempdir().unwrap();
        for (thread, cpus) in [("7/task/7", "0"), ("7/task/8", "0-1"), ("9/task/9", "0")] {
            let folder = root.path().join("proc").join(thread);
            std::fs::create_dir_all(&folder).unwrap();
            let status = format!("Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t{cpus}\nMems_allowed_list:\t0\n");
            std::fs::write(folder.join("status"), status).unwrap();
        }
        let targets = Targets {
            services: vec![
                Service::new(name("web"), vec![7, 12]),
                Service::new(name("db"), vec![9]),
                Service::new(name("gone"), vec![12]),
            ],
            ..Targets::default()
        };
        let placement = of(&Tree::at(root.path()), &targets);
        let cpus: Vec<_> = placement.iter().map(|p| p.cpus.clone()).collect();
        assert_eq!(cpus, [set("0-1"), set("0"), None]);
        let requested = Resources {
            cpuset: set("0"),
            mems: set("0"),
            memory_mib: None,
        };
        assert_eq!(
            deviations(&placement, &requested),
            ["web may use CPUs 0-1, but 0 was requested"]
        );
        assert_eq!(deviations(&placement, &Resources::default()), [] as [String; 0]);
    }
}
