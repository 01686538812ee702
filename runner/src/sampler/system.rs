//! What is sampled beside the processes: cgroups of services, interfaces, the sum of all other processes, the host, energy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::Name;
use protocol::sample::{Counters, Energy, Link, OtherProcessesRef, ServiceRef as CgroupSubject, Subject, WholeHost};

use super::cgroup::{Cgroup, Mounts};
use super::host::{Energies, Host, Links};
use super::other_processes::OtherProcesses;
use super::reader::{Depth, Reader};
use super::targets::Service;

/// Everything that is sampled beside the processes.
#[derive(Debug)]
pub struct System {
    root: PathBuf,
    mounts: Mounts,
    /// By service.
    services: BTreeMap<Name, ServiceRef>,
    host: Host,
    links: Links,
    others: OtherProcesses,
    energies: Energies,
}

/// What belongs to one service.
#[derive(Debug)]
struct ServiceRef {
    cgroup: Option<Cgroup>,
    links: Option<Links>,
}

impl System {
    /// The system behind this `/proc` and `/sys`.
    #[must_use]
    pub fn open(root: &Path, sys: &Path, reader: &mut Reader) -> Self {
        let mountinfo = std::fs::read_to_string(root.join("self/mountinfo")).unwrap_or_default();
        let mounts = Mounts::read(&mountinfo);
        Self {
            root: root.to_owned(),
            host: Host::open(root, mounts.all_tasks(), reader),
            mounts,
            services: BTreeMap::new(),
            links: Links::of_host(root, reader),
            others: OtherProcesses::new(root.to_owned()),
            energies: Energies::open(sys, reader),
        }
    }

    /// Samples the cgroups of the services. This comes before the processes, so that their sum is not smaller for being older.
    pub fn cgroups(
        &mut self,
        services: &[Service],
        depth: Depth,
        reader: &mut Reader,
        put: &mut impl FnMut(Subject, Counters),
    ) {
        for service in services {
            if !self.services.contains_key(&service.name)
                && let Some(pid) = service.processes.first()
            {
                let of_service = ServiceRef {
                    cgroup: Cgroup::find(&self.root, &self.mounts, pid, reader),
                    links: Links::of_process(&self.root, pid, reader),
                };
                self.services.insert(service.name.clone(), of_service);
            }
            let cgroup = self
                .services
                .get(&service.name)
                .and_then(|of_service| of_service.cgroup.as_ref());
            if let Some(counters) = cgroup.map(|cgroup| cgroup.read(depth, reader)) {
                let service = service.name.clone();
                put(Subject::Cgroup(CgroupSubject { service }), counters);
            }
        }
    }

    /// Samples what belongs to no single process. This comes after the processes.
    pub fn everything(
        &mut self,
        services: &[Service],
        is_sampled: impl Fn(u32) -> bool,
        reader: &mut Reader,
        put: &mut impl FnMut(Subject, Counters),
    ) {
        for (kind, counters) in self.others.read(is_sampled, reader) {
            put(Subject::OtherProcesses(OtherProcessesRef { kind }), counters);
        }
        put(Subject::Host(WholeHost {}), self.host.read(reader));
        for (interface, counters) in self.links.read(reader) {
            let carried = services
                .iter()
                .find(|service| service.interface.as_ref() == Some(&interface));
            let service = carried.map(|service| service.name.clone());
            put(Subject::Link(Link { service, interface }), counters);
        }
        for (service, of_service) in &self.services {
            let links = of_service
                .links
                .iter()
                .flat_map(|links| links.read(reader))
                .collect::<Vec<_>>();
            for (interface, counters) in links.into_iter().filter(|(interface, _)| interface != "lo") {
                let service = Some(service.clone());
                put(Subject::Link(Link { service, interface }), counters);
            }
        }
        for (domain, counters) in self.energies.read(reader) {
            put(Subject::Energy(Energy { domain }), counters);
        }
    }
}
