//! The first connection to a service, before a load.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use protocol::load::{LoadKind, Prepare};
use protocol::spec::{Probe, UdpProbe};
use tokio::net::{TcpStream, UdpSocket};

/// Opens one connection to the service, or exchanges one packet with it.
///
/// # Errors
/// What is wrong, with the remedy.
pub async fn touch(prepare: &Prepare) -> Result<(), String> {
    let address: SocketAddr = prepare.address;
    match prepare.load.kind {
        LoadKind::Udp(_) => {
            let probe = Probe::Udp(UdpProbe {
                packet: "12345678".to_owned(),
                answer: String::new(),
            });
            reach(Some(&probe), address).await
        }
        _ => reach(None, address).await,
    }
}

/// How long the first connection may take.
const REACH_WITHIN: Duration = Duration::from_secs(2);

/// The distance of two packets that ask for any answer.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Opens one connection to the endpoint, or exchanges one packet with it, before a thousand requests a second find out that it cannot be
/// reached.
///
/// # Errors
/// What is wrong, with the remedy.
pub async fn reach(probe: Option<&Probe>, address: SocketAddr) -> Result<(), String> {
    let touch = async {
        match probe {
            Some(Probe::Udp(probe)) => exchange(probe.packet.as_bytes(), address).await,
            _ => TcpStream::connect(address).await.map(drop),
        }
    };
    let why = match tokio::time::timeout(REACH_WITHIN, touch).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", REACH_WITHIN.as_secs()),
    };
    Err(format!(
        "the runner says READY, but from here {address} cannot be reached ({why}): give the runner the `address` by which this machine reaches it; for containers set `publish = true` or add a route to their bridge"
    ))
}

/// Sends a packet until something comes back.
async fn exchange(packet: &[u8], address: SocketAddr) -> io::Result<()> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    loop {
        socket.send(packet).await?;
        if let Ok(answer) = tokio::time::timeout(ASK_EVERY, socket.recv(&mut [0; 1])).await {
            return answer.map(drop);
        }
    }
}
