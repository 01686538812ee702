//! A fake UDP service.

use protocol::spec::UdpProbe;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use super::server::{LIFE, Manner};

/// Largest UDP packet, bytes.
const LARGEST: usize = 65_535;

/// Echoes every packet after the prefix that the probe's answer has, until it is due to die.
pub(super) async fn serve(socket: UdpSocket, probe: UdpProbe, manner: Manner) {
    let letters = probe.answer.strip_suffix(&probe.packet).unwrap_or(&probe.answer);
    let mut buffer = vec![0; LARGEST];
    let mut death = None;
    loop {
        let received = tokio::select! {
            () = until(death) => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        if let (Ok((length, asker)), true) = (received, manner != Manner::Silent) {
            let answer = [letters.as_bytes(), &buffer[..length]].concat();
            // The client retries.
            let _ = socket.send_to(&answer, asker).await;
            if manner == Manner::Dying {
                death.get_or_insert_with(|| Instant::now() + LIFE);
            }
        }
    }
}

async fn until(death: Option<Instant>) {
    match death {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
