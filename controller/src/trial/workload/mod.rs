//! The workloads: their services, what surrounds them, and where the load goes.
//!
//! * `tcp`, `udp`, `jung` — the services of each kind;
//! * [`truth`] — what Jung's platform really did, read back after the load.

mod compare;
mod jung;
mod plan;
mod tcp;
pub mod truth;
mod udp;

use protocol::AttemptId;

pub use plan::WorkloadPlan;

use crate::config::{PhaseDeadlines, Workload, WorkloadKind};

/// The plan of a workload in an attempt.
#[must_use]
pub fn plan(workload: &Workload, attempt: AttemptId, limits: &PhaseDeadlines) -> WorkloadPlan {
    match &workload.kind {
        WorkloadKind::Tcp(tcp) => tcp::plan(&workload.name, tcp),
        WorkloadKind::Udp(udp) => udp::plan(&workload.name, udp),
        WorkloadKind::Jung(jung) => jung::plan(jung, attempt, limits),
        WorkloadKind::Service(service) => WorkloadPlan {
            // The first may need the others.
            services: service
                .others
                .iter()
                .chain([&service.front])
                .map(|entry| entry.spec.clone())
                .collect(),
            broker: None,
            seed: None,
            entry: service.front.spec.name.clone(),
        },
    }
}
