//! UDP probes.

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
    #[error("expected an answer of {expected} bytes, got another of {got}")]
    WrongAnswer {
        /// The answer's length.
        got: usize,
        /// The expected length.
        expected: usize,
    },
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
    pub(super) async fn probe(&mut self, probe: &UdpProbe, wait: Duration) -> Result<Instant, ProbeFailure> {
        // An error usually belongs to the previous packet (nothing listens yet), and is cleared by reading it.
        self.socket.send(probe.packet.as_bytes()).await?;
        let length = timeout(wait, self.socket.recv(&mut self.buffer))
            .await
            .map_err(|_| ProbeFailure::NoAnswer)??;
        if &self.buffer[..length] == probe.answer.as_bytes() {
            return Ok(Instant::now());
        }
        Err(ProbeFailure::WrongAnswer {
            got: length,
            expected: probe.answer.len(),
        })
    }
}
