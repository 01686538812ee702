//! What is sampled beside processes: the cgroups of the services, interfaces, the rest of the processes, the host, energy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::Name;
use protocol::sample::{Counters, Energy, Link, OfService, Rest as RestSubject, Subject, WholeHost};

use super::cgroup::{Cgroup, Mounts};
use super::host::{Energies, Host, Links};
use super::rest::Rest;
use super::source::{Depth, Reader};
use super::target::Service;

/// Everything that is sampled beside processes.
#[derive(Debug)]
pub struct System {
    root: PathBuf,
    mounts: Mounts,
    /// By service, once its first process is known.
    services: BTreeMap<Name, OfOne>,
    host: Host,
    links: Links,
    rest: Rest,
    energies: Energies,
}

/// What belongs to one service.
#[derive(Debug)]
struct OfOne {
    cgroup: Option<Cgroup>,
    links: Option<Links>,
}

impl System {
    /// The system whose `/proc` and `/sys` are here.
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
            rest: Rest::new(root.to_owned()),
            energies: Energies::open(sys, reader),
        }
    }

    /// The cgroups of the services: before their processes, so that these are not younger than their group.
    pub fn cgroups(
        &mut self,
        services: &[Service],
        depth: Depth,
        reader: &mut Reader,
        put: &mut impl FnMut(Subject, Counters),
    ) {
        for service in services {
            if !self.services.contains_key(&service.name)
                && let Some(&pid) = service.pids.first()
            {
                let of_one = OfOne {
                    cgroup: Cgroup::find(&self.root, &self.mounts, pid, reader),
                    links: Links::of_process(&self.root, pid, reader),
                };
                self.services.insert(service.name.clone(), of_one);
            }
            let cgroup = self
                .services
                .get(&service.name)
                .and_then(|of_one| of_one.cgroup.as_ref());
            if let Some(counters) = cgroup.map(|cgroup| cgroup.read(depth, reader)) {
                let service = service.name.clone();
                put(Subject::Cgroup(OfService { service }), counters);
            }
        }
    }

    /// Everything that is not of one process: after them.
    pub fn everything(
        &mut self,
        services: &[Service],
        is_summed: impl Fn(u32) -> bool,
        reader: &mut Reader,
        put: &mut impl FnMut(Subject, Counters),
    ) {
        for (kind, counters) in self.rest.read(is_summed, reader) {
            put(Subject::Rest(RestSubject { kind }), counters);
        }
        put(Subject::Host(WholeHost {}), self.host.read(reader));
        for (interface, counters) in self.links.read(reader) {
            let carries = services
                .iter()
                .find(|service| service.interface.as_ref() == Some(&interface));
            let service = carries.map(|service| service.name.clone());
            put(Subject::Link(Link { service, interface }), counters);
        }
        for (service, of_one) in &self.services {
            let links = of_one
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
