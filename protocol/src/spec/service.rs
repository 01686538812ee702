//! The services of a deployment, their broker, and how they are seeded with data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::description::ServiceDescription;
use super::probe::Probe;
use super::template::{Parameter, ParameterName};
use crate::ids::Name;

/// One service of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Its name, unique in the deployment.
    pub name: Name,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Place::is_platform")]
    pub place: Place,
    /// What it is.
    pub source: ServiceSource,
}

/// What a service is: part of this project, or described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceSource {
    /// The `workload` program.
    Workload(WorkloadService),
    /// A description of the target host, `services/<name>/service.toml`.
    Named(NamedService),
    /// A description in the message itself, as far as the target host allows what it names.
    Inline(Box<ServiceDescription>),
}

/// A service of the `workload` program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadService {
    /// Its arguments, e.g. `["tcp", "--listen", "{listen}"]`; `{listen}` is replaced by the platform's `address:port`.
    pub args: Vec<String>,
    /// The port that it listens on; `None`: it does not listen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The readiness probe.
    pub ready: Probe,
}

/// A service that the target host describes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedService {
    /// The name of the description.
    pub description: Name,
    /// The parameters that are not left at their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<ParameterName, Parameter>,
}

/// Where a service runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the platform under test.
    #[default]
    Platform,
    /// Beside it: a process of the target host, on every platform.
    Beside,
}

impl Place {
    /// Whether it is on the platform, which is the default.
    #[must_use]
    pub const fn is_platform(&self) -> bool {
        matches!(self, Self::Platform)
    }
}

/// The services' own Kafka broker, separate from the one that carries these messages. The runner starts it on its host before the services, as
/// the service [`BROKER`], and stops it after them. In the services' arguments, `{brokers}` is replaced by its address as reachable by each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerSpec {
    /// The broker program.
    pub program: BrokerProgram,
    /// Its port for host processes. Services on a platform with its own network use the next port, on the host's address in that network.
    pub port: u16,
}

/// The service name of a [`BrokerSpec`]; reserved.
pub const BROKER: &str = "kafka";

/// Brokers that a runner can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerProgram {
    /// This project's broker.
    Own,
    /// Apache Kafka, by the runner's `kafka.sh`.
    Apache,
}

/// How the services are seeded before READY: the `workload` program runs on the target host and must exit with 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedSpec {
    /// Its arguments; `{endpoint:NAME}` is replaced by the address of that service.
    pub args: Vec<String>,
    /// Deadline, ms.
    pub deadline_ms: u64,
}

/// The name of the seeding process in logs; reserved.
pub const SEED: &str = "seed";
