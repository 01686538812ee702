//! The load engine beside the conversation: on a thread of its own, watched and cancelled from here.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use protocol::Command;
use protocol::event::Ready;
use protocol::spec::Probe;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::order::Order;
use super::workload::truth;
use crate::load::{Control, LoadError, Outcome, Progress};
use crate::store::TruthRecord;

/// A load that is on, or over.
#[derive(Debug)]
pub struct RunningLoad {
    control: Arc<Control>,
    work: Option<JoinHandle<Result<Measured, String>>>,
}

/// What a load brings back.
#[derive(Debug)]
pub struct Measured {
    /// What the engine measured.
    pub outcome: Outcome,
    /// What the services really did, where that can be read back.
    pub truth: Option<TruthRecord>,
}

impl RunningLoad {
    /// Fires the load, says through `mouth` where its window begins and ends, and then looks what the services made of it.
    #[must_use]
    pub fn fire(order: &Order, ready: &Ready, address: SocketAddr, mouth: UnboundedSender<Command>) -> Self {
        let edges = order.edges();
        let control = Arc::new(Control::new());
        let (engine, watched) = (order.engine(address), Arc::clone(&control));
        let (witness, ledger) = (order.witness(ready), order.ledger.clone());
        let work = async move {
            let thread = tokio::task::spawn_blocking(move || engine?.run(&watched));
            let outcome: Result<Outcome, LoadError> = edges
                .tell(&mouth, thread)
                .await
                .map_err(|panic| format!("the load engine panicked: {panic}"))?;
            let outcome = outcome.map_err(|error| error.to_string())?;
            let truth = match witness {
                Some(witness) if !outcome.cancelled => Some(truth::check(witness, &ledger.accepted()).await),
                _ => None,
            };
            Ok(Measured { outcome, truth })
        };
        Self {
            control,
            work: Some(tokio::spawn(work)),
        }
    }

    /// Waits until it is over; for ever if it was taken before. Cancel-safe.
    pub async fn over(&mut self) -> Result<Measured, String> {
        let Some(work) = &mut self.work else {
            return std::future::pending().await;
        };
        let result = work.await;
        self.work = None;
        result.unwrap_or_else(|panic| Err(format!("the work after the load panicked: {panic}")))
    }

    /// Asks it to end; what was measured until then still comes.
    pub fn abort(&self) {
        self.control.cancel();
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.control.progress()
    }
}

impl Drop for RunningLoad {
    fn drop(&mut self) {
        self.control.cancel();
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
