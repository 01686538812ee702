//! The load engine beside the conversation: on a thread of its own, watched and cancelled from here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use protocol::Command;
use protocol::event::Ready;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::order::Order;
use super::workload::truth;
use crate::fleet::{SharedFleet, Together};
use analysis::store::{LoaderRecord, TruthRecord};
use loader::{Control, Engine, LoadError, Outcome, Progress};

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
        let (witness, accepted) = (order.witness(ready), order.accepted.clone());
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
                (None, None) => return Err("no load generator is available".to_owned()),
            };
            let truth = match witness {
                Some(witness) if !outcome.cancelled => Some(truth::check(witness, &accepted.all()).await),
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
