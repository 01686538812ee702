//! The services of a deployment: their processes and readiness probes, their broker, and how they are seeded with data.

use serde::{Deserialize, Serialize};

use crate::ids::Name;

/// One process of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Its name, unique in the deployment.
    pub name: Name,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Place::is_platform")]
    pub place: Place,
    /// Arguments of the `workload` program, e.g. `["tcp", "--listen", "{listen}"]`; `{listen}` is replaced by the platform's `address:port`.
    pub args: Vec<String>,
    /// The port that it listens on; `None`: it does not listen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The readiness probe.
    pub ready: Probe,
}

/// A readiness probe. An open port is not sufficient behind a port forward or proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// An HTTP GET with the expected response.
    Http(HttpProbe),
    /// The port accepts a connection: sufficient for a host process, without a proxy in front.
    Connects(ConnectsProbe),
    /// The process was started, and its guest, if any, has reported on its console that it is up. For services without a port; the probe of a
    /// service that depends on them shows whether they work.
    Started(StartedProbe),
    /// A UDP packet with the expected reply.
    Udp(UdpProbe),
}

impl Probe {
    /// The transport of the probe and thus of the service.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Udp(_) => Transport::Udp,
            Self::Http(_) | Self::Connects(_) | Self::Started(_) => Transport::Tcp,
        }
    }
}

/// The transport of a service; TCP and UDP ports are separate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// The body of [`Probe::Connects`]: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectsProbe {}

/// The body of [`Probe::Started`]: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartedProbe {}

/// An HTTP GET and the expected response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// The path, e.g. `/`.
    pub path: String,
    /// The expected status.
    pub status: u16,
    /// The expected body length, bytes; `None`: any.
    pub body_bytes: Option<u64>,
}

/// A UDP packet and the expected reply. The packet is resent until the reply arrives, since it may be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpProbe {
    /// Payload of the packet.
    pub packet: String,
    /// Complete payload of the reply.
    pub answer: String,
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
