//! UDP probes: any packet, and a DNS query.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use protocol::spec::UdpProbe;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Largest UDP payload, bytes.
const MAX_ANSWER: usize = 65_535;

/// Why a probe did not get the expected answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeFailure {
    /// The system's error: refused, unreachable and the like.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No answer in time.
    #[error("no answer")]
    NoAnswer,
    /// Another answer.
    #[error("{0}")]
    WrongAnswer(String),
}

/// A packet and what is expected of its answer.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    packet: Vec<u8>,
    expected: Expected,
}

#[derive(Clone, Debug)]
enum Expected {
    /// Exactly these bytes.
    Exactly(Vec<u8>),
    /// A DNS response to the packet without an error.
    DnsResponse,
}

/// The identification of DNS queries: one query is outstanding on a socket, so one number will do.
const DNS_ID: [u8; 2] = *b"JU";

impl Exchange {
    /// That of a probe.
    pub(super) fn of(probe: &UdpProbe) -> Self {
        Self {
            packet: probe.packet.clone().into_bytes(),
            expected: Expected::Exactly(probe.answer.clone().into_bytes()),
        }
    }

    /// A query for the address (type A, class IN) of a name, recursion desired (RFC 1035, sections 4.1 and 4.2.1).
    pub(super) fn of_query(name: &str) -> Self {
        let mut packet = DNS_ID.to_vec();
        packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.split('.').filter(|label| !label.is_empty()) {
            packet.push(u8::try_from(label.len()).unwrap_or(63));
            packet.extend(label.bytes().take(63));
        }
        packet.extend([0, 0, 1, 0, 1]);
        Self {
            packet,
            expected: Expected::DnsResponse,
        }
    }

    fn check(&self, answer: &[u8]) -> Result<(), ProbeFailure> {
        let wrong = |why| Err(ProbeFailure::WrongAnswer(why));
        match &self.expected {
            Expected::Exactly(expected) if expected == answer => Ok(()),
            Expected::Exactly(expected) => wrong(format!(
                "expected an answer of {} bytes, got another of {}",
                expected.len(),
                answer.len()
            )),
            // Identification, then the flags: the first bit of a response is 1, the last four are its code.
            Expected::DnsResponse => match answer {
                [a, b, first, second, ..] if [*a, *b] == DNS_ID && first & 0x80 != 0 => match second & 0x0f {
                    0 => Ok(()),
                    code => wrong(format!("the DNS response has code {code}, expected 0 (no error)")),
                },
                _ => wrong(format!(
                    "the answer of {} bytes is not a DNS response to the query",
                    answer.len()
                )),
            },
        }
    }
}

/// A socket that probes one address repeatedly. A correct answer counts whichever packet it answers, even if it is late.
#[derive(Debug)]
pub(super) struct UdpProber {
    socket: UdpSocket,
    buffer: Vec<u8>,
}

impl UdpProber {
    /// A connected socket.
    pub(super) async fn new(address: SocketAddr) -> Result<Self, ProbeFailure> {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        Ok(Self {
            socket,
            buffer: vec![0; MAX_ANSWER],
        })
    }

    /// Sends a packet and waits for the answer to it or to an earlier one. Returns when the answer arrived.
    pub(super) async fn probe(&mut self, exchange: &Exchange, wait: Duration) -> Result<Instant, ProbeFailure> {
        // An error usually belongs to the previous packet (nothing listens yet), and is cleared by reading it.
        self.socket.send(&exchange.packet).await?;
        let length = timeout(wait, self.socket.recv(&mut self.buffer))
            .await
            .map_err(|_| ProbeFailure::NoAnswer)??;
        exchange.check(&self.buffer[..length]).map(|()| Instant::now())
    }
}
