//! What runs, and what counts as its first correct reply.

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::surroundings::Place;

/// One process of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Its name, unique in the deployment.
    pub name: Name,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Place::is_platform")]
    pub place: Place,
    /// The arguments of the `workload` program, e.g. `["tcp", "--listen", "{listen}"]`; `{listen}` becomes `address:port` as the platform has it.
    pub args: Vec<String>,
    /// The port that it listens on; `None`: on none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What counts as its first correct reply.
    pub ready: Probe,
}

/// What counts as a correct reply. An open port alone proves nothing where a forward or a proxy stands in front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// An HTTP GET that is answered as expected.
    Http(HttpProbe),
    /// Its port takes a connection: enough for a process of the host, where nothing stands in front.
    Connects(ConnectsProbe),
    /// It was started, and its guest, if it is in one, is up by its console's word. For a service that listens nowhere: whether it works, the probe of one that needs it has to show.
    Started(StartedProbe),
    /// A packet of UDP that is answered as expected.
    Udp(UdpProbe),
}

impl Probe {
    /// What the probe, and so the service, speaks.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Udp(_) => Transport::Udp,
            Self::Http(_) | Self::Connects(_) | Self::Started(_) => Transport::Tcp,
        }
    }
}

/// What carries a service's requests: TCP and UDP have ports of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Packets.
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

/// An HTTP GET and its correct answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// The path, e.g. `/`.
    pub path: String,
    /// The only status that counts.
    pub status: u16,
    /// The length that the body must have, bytes; `None`: any.
    pub body_bytes: Option<u64>,
}

/// A packet of UDP and its correct answer. A packet may be lost, so it is sent again until the answer is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpProbe {
    /// The bytes of the packet.
    pub packet: String,
    /// The bytes of the answer, all of them.
    pub answer: String,
}
