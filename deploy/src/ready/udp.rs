//! UDP probes.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use protocol::spec::UdpProbe;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Largest UDP payload, bytes.
const LARGEST: usize = 65_535;

/// Why a probe did not get the expected answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    /// The system's error: refused, unreachable and the like.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No answer in time.
    #[error("no answer")]
    Nothing,
    /// Another answer.
    #[error("expected an answer of {wanted} bytes, got another of {got}")]
    Other {
        /// The answer's length.
        got: usize,
        /// The expected length.
        wanted: usize,
    },
}

/// A socket that probes one address repeatedly. A correct answer counts whichever packet it answers, even if it is late.
#[derive(Debug)]
pub(super) struct Asker {
    socket: UdpSocket,
    buffer: Vec<u8>,
}

impl Asker {
    /// A connected socket.
    pub(super) async fn new(address: SocketAddr) -> Result<Self, Wrong> {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        Ok(Self {
            socket,
            buffer: vec![0; LARGEST],
        })
    }

    /// Sends a packet and waits for the answer to it or to an earlier one. Returns when the answer arrived.
    pub(super) async fn ask(&mut self, probe: &UdpProbe, patience: Duration) -> Result<Instant, Wrong> {
        // An error usually belongs to the previous packet (nothing listens yet), and is cleared by reading it.
        self.socket.send(probe.packet.as_bytes()).await?;
        let length = timeout(patience, self.socket.recv(&mut self.buffer))
            .await
            .map_err(|_| Wrong::Nothing)??;
        if &self.buffer[..length] == probe.answer.as_bytes() {
            return Ok(Instant::now());
        }
        Err(Wrong::Other {
            got: length,
            wanted: probe.answer.len(),
        })
    }
}
