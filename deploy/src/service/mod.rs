//! A service as drivers get it: of the `workload` program, or described.

mod described;
mod dir;
mod program;
pub(crate) mod root;
mod task;

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::Name;
use protocol::load;
use protocol::spec::{Probe, Readiness, Transport, WorkloadService};

pub use described::Described;
pub(crate) use described::{fill, fill_all, fill_env};
pub(crate) use dir::{PreparedDirs, ServiceDir, path as dir_path, sweep as sweep_dirs};
pub use program::check as check_program;

/// One service of a deployment.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name, unique in the deployment.
    pub name: Name,
    /// The port that it listens on; `None`: it does not listen.
    pub port: Option<u16>,
    /// What proves that it is ready.
    pub ready: Readiness,
    /// What runs.
    pub program: Program,
}

/// What a service runs.
#[derive(Clone, Debug)]
pub enum Program {
    /// The `workload` program with these arguments.
    Workload(Vec<String>),
    /// What a description says.
    Described(Arc<Described>),
}

impl Service {
    /// A service of the workload program.
    #[must_use]
    pub fn workload(name: Name, service: WorkloadService) -> Self {
        Self {
            name,
            port: service.port,
            ready: service.ready.into(),
            program: Program::Workload(service.args),
        }
    }

    /// A described service.
    #[must_use]
    pub fn described(name: Name, described: Described) -> Self {
        Self {
            name,
            port: described.port(),
            ready: described.description().ready.clone(),
            program: Program::Described(Arc::new(described)),
        }
    }

    /// The transport of its port.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match &self.program {
            Program::Described(described) => match described.description().protocol {
                load::Transport::Udp => Transport::Udp,
                load::Transport::Http | load::Transport::Tcp | load::Transport::Task => Transport::Tcp,
            },
            Program::Workload(_) => self.ready.probe.transport(),
        }
    }

    /// Its probe.
    #[must_use]
    pub const fn probe(&self) -> &Probe {
        &self.ready.probe
    }

    /// Its description, if it has one.
    #[must_use]
    pub fn description(&self) -> Option<&Arc<Described>> {
        match &self.program {
            Program::Described(described) => Some(described),
            Program::Workload(_) => None,
        }
    }

    /// The arguments of the workload program with `{listen}` replaced by its listen address, if it has one. They are passed to the program as they are: no
    /// shell parses them. Empty for a described service.
    #[must_use]
    pub fn workload_args(&self, listen: Option<SocketAddr>) -> Vec<String> {
        let Program::Workload(args) = &self.program else {
            return Vec::new();
        };
        match listen {
            Some(listen) => args
                .iter()
                .map(|arg| arg.replace("{listen}", &listen.to_string()))
                .collect(),
            None => args.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::spec::StartedProbe;

    use super::*;

    #[test]
    fn the_address_is_filled_in_and_nothing_else() {
        let args = ["tcp", "--listen={listen}", "{port}", "; rm -rf $HOME"].map(String::from);
        let service = Service::workload(
            "tcp".parse().unwrap(),
            WorkloadService {
                args: args.to_vec(),
                port: Some(7),
                ready: Probe::Started(StartedProbe {}),
            },
        );
        let filled = service.workload_args(Some("127.0.0.1:7".parse().unwrap()));
        assert_eq!(filled, ["tcp", "--listen=127.0.0.1:7", "{port}", "; rm -rf $HOME"]);
        assert_eq!(service.workload_args(None), args, "it has no listen address");
    }
}
