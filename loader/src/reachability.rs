//! Checks, before a load, that the service is reachable.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use protocol::load::{LoadKind, LoadSpec, Prepare};
use tokio::net::{TcpStream, UdpSocket};

use crate::tls;

/// Checks that the target of a PREPARE is reachable.
///
/// # Errors
/// A message with the problem and the remedy.
pub async fn check_target(prepare: &Prepare) -> Result<(), String> {
    let contact = match prepare.load.kind {
        LoadKind::Udp(_) => Contact::Packet(b"12345678".to_vec()),
        _ => Contact::Connection,
    };
    check_reachable(&contact, prepare.address).await?;
    check_tls(&prepare.load, prepare.address).await
}

/// How it is checked that a service can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// A connection.
    Connection,
    /// A packet that is answered.
    Packet(Vec<u8>),
    /// It is not checked.
    Nothing,
}

/// Checks that the service completes a TLS handshake, if the load is over TLS.
///
/// # Errors
/// A message with the problem and the remedy.
pub async fn check_tls(load: &LoadSpec, address: SocketAddr) -> Result<(), String> {
    if load.http.tls.is_none() {
        return Ok(());
    }
    let http = load.http.clone();
    let check = tokio::task::spawn_blocking(move || tls::check_handshake(&http, address, TIMEOUT));
    check
        .await
        .map_err(|panic| format!("the TLS handshake panicked: {panic}"))?
}

/// Time-out of the connection.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Interval at which a packet is repeated.
const RESEND_INTERVAL: Duration = Duration::from_millis(100);

/// Opens one connection to an endpoint, or exchanges one packet with it.
///
/// # Errors
/// A message with the problem and the remedy.
pub async fn check_reachable(contact: &Contact, address: SocketAddr) -> Result<(), String> {
    let contact = async {
        match contact {
            Contact::Packet(packet) => exchange(packet, address).await,
            Contact::Connection => TcpStream::connect(address).await.map(drop),
            Contact::Nothing => Ok(()),
        }
    };
    let why = match tokio::time::timeout(TIMEOUT, contact).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no reply within {} s", TIMEOUT.as_secs()),
    };
    Err(format!(
        "the runner reports READY, but from here {address} cannot be reached ({why}): set the runner's `address` to one by which this machine reaches it; for containers set `publish = true` or add a route to their bridge"
    ))
}

/// Sends a packet repeatedly until any reply arrives.
async fn exchange(packet: &[u8], address: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(unspecified(address)).await?;
    socket.connect(address).await?;
    loop {
        socket.send(packet).await?;
        if let Ok(reply) = tokio::time::timeout(RESEND_INTERVAL, socket.recv(&mut [0; 1])).await {
            return reply.map(drop);
        }
    }
}

/// The unspecified address of the same family, to bind a socket to.
pub fn unspecified(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
