//! Packets of UDP, until the correct answer to one is there.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use protocol::spec::UdpProbe;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The longest answer that is read, bytes: the longest there can be.
const LARGEST: usize = 65_535;

/// Why an answer is not the correct one.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    /// Refused, unreachable and the like.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing came.
    #[error("no answer")]
    Nothing,
    /// Another answer.
    #[error("an answer of {got} bytes that is not the expected one of {wanted}")]
    Other {
        /// The answer's length.
        got: usize,
        /// The expected one's.
        wanted: usize,
    },
}

/// A socket that asks one address over and over: an answer counts whichever of the packets it answers, as one that comes late is no less
/// correct.
#[derive(Debug)]
pub(super) struct Asker {
    socket: UdpSocket,
    buffer: Vec<u8>,
}

impl Asker {
    /// A socket of its own.
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

    /// Sends a packet and waits so long for the answer to this one or one before it. Says when the answer was here.
    pub(super) async fn ask(&mut self, probe: &UdpProbe, patience: Duration) -> Result<Instant, Wrong> {
        // An error is mostly that of the packet before (nothing listens yet), and is taken with it.
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
