//! What the workloads ask for: their services, what is around them, and where the load goes.
//!
//! * `tcp`, `udp`, `jung` — the services of each kind;
//! * [`truth`] — what Jung's platform really did, read back after the load.

mod compare;
mod jung;
mod tcp;
pub mod truth;
mod udp;

use protocol::spec::ServiceSpec;
use protocol::spec::{BrokerSpec, SeedSpec};
use protocol::{AttemptId, Name};

use crate::config::{PhaseDeadlines, Workload, WorkloadKind};

/// What a workload asks of the runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its services, in the order they are started.
    pub services: Vec<ServiceSpec>,
    /// The broker that they talk through.
    pub broker: Option<BrokerSpec>,
    /// How they are filled.
    pub seed: Option<SeedSpec>,
    /// The service that the load goes to.
    pub front: Name,
}

/// What a workload asks for in an attempt.
#[must_use]
pub fn asked(workload: &Workload, attempt: AttemptId, limits: &PhaseDeadlines) -> Asked {
    match &workload.kind {
        WorkloadKind::Tcp(tcp) => tcp::asked(&workload.name, tcp),
        WorkloadKind::Udp(udp) => udp::asked(&workload.name, udp),
        WorkloadKind::Jung(jung) => jung::asked(jung, attempt, limits),
        WorkloadKind::Service(service) => Asked {
            // The first may need the others.
            services: service
                .others
                .iter()
                .chain([&service.front])
                .map(|entry| entry.spec.clone())
                .collect(),
            broker: None,
            seed: None,
            front: service.front.spec.name.clone(),
        },
    }
}
