//! Readiness probes: what proves that a service is up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::{Pattern, ProgramPath};
use super::template::Template;

/// The readiness of a service: the probe, and how it is repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// The probe.
    pub probe: Probe,
    /// Time between two attempts, ms; `None`: 2 for the first 5 s, then 20. It bounds the error of the start-up time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// How long the service may take to be ready, ms, within the deadline of the RUN; `None`: until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl Readiness {
    /// Time between two attempts, if it is set.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        self.interval_ms.map(Duration::from_millis)
    }

    /// How long the service may take, if that is limited.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }
}

impl From<Probe> for Readiness {
    fn from(probe: Probe) -> Self {
        Self {
            probe,
            interval_ms: None,
            timeout_ms: None,
        }
    }
}

/// A readiness probe. An open port is not sufficient behind a port forward or proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// An HTTP GET with the expected response.
    Http(HttpProbe),
    /// The port accepts a connection and does not close it at once, as a forwarder without a service behind it does.
    Connects(ConnectsProbe),
    /// The process was started, and its guest, if any, has reported on its console that it is up. For services without a port; the probe of a
    /// service that depends on them shows whether they work.
    Started(StartedProbe),
    /// A UDP packet with the expected reply.
    Udp(UdpProbe),
    /// A DNS query over UDP that is answered without an error.
    Dns(DnsProbe),
    /// `PING` of Redis' protocol (RESP), answered with `PONG`.
    Redis(RedisProbe),
    /// A line of the service's output.
    Output(OutputProbe),
    /// A program of the target host that exits with 0.
    Command(CommandProbe),
}

impl Probe {
    /// The transport of the probe; that of the service too, if the probe talks to it.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Udp(_) | Self::Dns(_) => Transport::Udp,
            _ => Transport::Tcp,
        }
    }

    /// Whether it needs a port to talk to.
    #[must_use]
    pub const fn needs_port(&self) -> bool {
        !matches!(self, Self::Started(_) | Self::Output(_) | Self::Command(_))
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

/// The body of [`Probe::Redis`]: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisProbe {}

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
    /// What the body must match; `None`: any body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Pattern>,
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

/// A DNS query for the address (record type A) of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsProbe {
    /// The name, e.g. `www.example.org`.
    pub name: String,
}

/// A line of output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputProbe {
    /// What the line must match.
    pub line: Pattern,
}

/// A program of the target host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandProbe {
    /// The program.
    pub program: ProgramPath,
    /// Its arguments.
    pub args: Vec<Template>,
}
