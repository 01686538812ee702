//! What a deployment has around its services: where each runs, a broker of their own, and what fills them before READY.

use serde::{Deserialize, Serialize};

/// Where a service runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the platform under test.
    #[default]
    Platform,
    /// Beside it: a process of the target host, whatever the platform.
    Beside,
}

impl Place {
    /// Whether it is on the platform, which need not be said.
    #[must_use]
    pub const fn is_platform(&self) -> bool {
        matches!(self, Self::Platform)
    }
}

/// A Kafka broker of the services' own, never the one that this conversation goes through. The runner starts it on its host before the services,
/// as the service [`BROKER`], and ends it after them. In the services' arguments `{brokers}` becomes its address as each can reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerSpec {
    /// Which.
    pub program: BrokerProgram,
    /// Where processes of the host reach it. Services on a platform with a network of its own reach it on the next port, where it listens
    /// on the host's address in that network.
    pub port: u16,
}

/// The service that a [`BrokerSpec`] becomes; no other may be named so.
pub const BROKER: &str = "kafka";

/// The brokers that a runner can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerProgram {
    /// This project's own.
    Own,
    /// Apache Kafka, by the runner's `kafka.sh`.
    Apache,
}

/// How the services are filled once they are up and before READY: the `workload` program is run on the target host until it ends with 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedSpec {
    /// Its arguments; `{endpoint:NAME}` becomes the address of that service.
    pub args: Vec<String>,
    /// How long it may take, ms.
    pub deadline_ms: u64,
}

/// The name under which the filling appears in logs; no service may be named so.
pub const SEED: &str = "seed";
