//! What a workload asks of the runner.

use protocol::Name;
use protocol::spec::{BrokerSpec, SeedSpec, ServiceSpec};

/// The services of a workload, what surrounds them, and where the load goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadPlan {
    /// Its services, in the order they are started.
    pub services: Vec<ServiceSpec>,
    /// The broker that they talk through.
    pub broker: Option<BrokerSpec>,
    /// How they are filled.
    pub seed: Option<SeedSpec>,
    /// The service that the load goes to.
    pub entry: Name,
}
