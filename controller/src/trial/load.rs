//! The load engine beside the conversation: on a thread of its own, watched and cancelled from here.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::Command;
use protocol::event::Ready;
use protocol::spec::Probe;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::order::Order;
use super::workload::truth;
use crate::load::{Control, Engine, LoadError, Outcome, Progress};
use crate::loaders::fleet::{SharedFleet, Together};
use crate::store::{LoaderRecord, TruthRecord};

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
    /// What each of several loaders did.
    pub loaders: Vec<LoaderRecord>,
    /// What the services really did, where that can be read back.
    pub truth: Option<TruthRecord>,
}

impl RunningLoad {
    /// Fires the load, with a fleet of loaders if there is one, says through `mouth` where its window begins and ends, and then looks what
    /// the services made of it.
    #[must_use]
    pub fn fire(
        order: &Order,
        ready: &Ready,
        address: SocketAddr,
        (fleet, mouth): (Option<&SharedFleet>, UnboundedSender<Command>),
    ) -> Self {
        let edges = order.edges();
        let control = Arc::new(Control::new());
        let watched = Arc::clone(&control);
        let fleet = fleet.cloned().zip(order.fleet(address));
        let engine = fleet.is_none().then(|| order.engine(address));
        let (witness, ledger) = (order.witness(ready), order.ledger.clone());
        let work = async move {
            let (outcome, loaders) = match (fleet, engine) {
                (Some((fleet, order)), _) => {
                    let (began, start) = oneshot::channel();
                    let mut fleet = fleet.lock().await;
                    let fired = fleet.fire(&order, &watched, began);
                    let Together { outcome, loaders } = edges.tell(&mouth, begun(start), fired).await?;
                    (outcome, loaders)
                }
                (None, Some(engine)) => {
                    let start = std::future::ready(Instant::now());
                    let outcome = edges.tell(&mouth, start, fire_here(engine, watched)).await?;
                    (outcome, Vec::new())
                }
                (None, None) => return Err("there is nobody to fire the load".to_owned()),
            };
            let truth = match witness {
                Some(witness) if !outcome.cancelled => Some(truth::check(witness, &ledger.accepted()).await),
                _ => None,
            };
            Ok(Measured {
                outcome,
                loaders,
                truth,
            })
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

/// When a load begins; never, if it does not.
async fn begun(start: oneshot::Receiver<Instant>) -> Instant {
    match start.await {
        Ok(start) => start,
        Err(_) => std::future::pending().await,
    }
}

/// Fires the load from this machine.
async fn fire_here(
    engine: Result<Box<dyn Engine + Send>, LoadError>,
    control: Arc<Control>,
) -> Result<Outcome, String> {
    let thread = tokio::task::spawn_blocking(move || engine?.run(&control));
    let outcome: Result<Outcome, LoadError> = thread
        .await
        .map_err(|panic| format!("the load engine panicked: {panic}"))?;
    outcome.map_err(|error| error.to_string())
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
