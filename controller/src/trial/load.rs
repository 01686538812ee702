//! The load of an attempt, run next to the conversation with the runner.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use protocol::Command;
use protocol::event::Ready;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::spec::AttemptSpec;
use super::workload::truth;
use crate::fleet::{FleetOutcome, SharedFleet};
use analysis::store::{LoaderRecord, ReadbackRecord};
use loader::{Control, Engine, LoadError, Outcome, Progress};

/// A load that is running or has ended.
#[derive(Debug)]
pub struct RunningLoad {
    control: Arc<Control>,
    work: Option<JoinHandle<Result<LoadResult, String>>>,
}

/// The result of a load.
#[derive(Debug)]
pub struct LoadResult {
    /// The result of the load engine.
    pub outcome: Outcome,
    /// The part of each loader.
    pub loaders: Vec<LoaderRecord>,
    /// The readback of what the services did.
    pub readback: Option<ReadbackRecord>,
}

impl RunningLoad {
    /// Starts the load, on a fleet of loaders if there is one, announces the edges of its window, and afterwards reads back
    /// what the services did.
    #[must_use]
    pub fn start(
        spec: &AttemptSpec,
        ready: &Ready,
        address: SocketAddr,
        (fleet, command_tx): (Option<&SharedFleet>, UnboundedSender<Command>),
    ) -> Self {
        let edges = spec.edges();
        let control = Arc::new(Control::new());
        let watched = Arc::clone(&control);
        let fleet = fleet.cloned().zip(spec.fleet_load(address));
        let engine = fleet.is_none().then(|| spec.engine(address));
        let (witness, accepted) = (spec.witness(ready), spec.accepted.clone());
        let work = async move {
            let (outcome, loaders) = match (fleet, engine) {
                (Some((fleet, load)), _) => {
                    let (started_tx, started_rx) = oneshot::channel();
                    let mut fleet = fleet.lock().await;
                    let outcome = fleet.run(&load, &watched, started_tx);
                    let FleetOutcome { outcome, loaders } =
                        edges.announce(&command_tx, start_of(started_rx), outcome).await?;
                    (outcome, loaders)
                }
                (None, Some(engine)) => {
                    let started = std::future::ready(Instant::now());
                    let outcome = edges
                        .announce(&command_tx, started, run_engine(engine, watched))
                        .await?;
                    (outcome, Vec::new())
                }
                (None, None) => return Err("no load generator is available".to_owned()),
            };
            let readback = match witness {
                Some(witness) if !outcome.cancelled => Some(truth::check(witness, &accepted.all()).await),
                _ => None,
            };
            Ok(LoadResult {
                outcome,
                loaders,
                readback,
            })
        };
        Self {
            control,
            work: Some(tokio::spawn(work)),
        }
    }

    /// Waits for the result; forever if it was taken before. Cancel-safe.
    pub async fn result(&mut self) -> Result<LoadResult, String> {
        let Some(work) = &mut self.work else {
            return std::future::pending().await;
        };
        let result = work.await;
        self.work = None;
        result.unwrap_or_else(|panic| Err(format!("the readback panicked: {panic}")))
    }

    /// Aborts the load; what was measured until then is still returned.
    pub fn abort(&self) {
        self.control.cancel();
    }

    /// The progress of the load.
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

/// The instant at which a load starts; pending if it never does.
async fn start_of(start: oneshot::Receiver<Instant>) -> Instant {
    match start.await {
        Ok(start) => start,
        Err(_) => std::future::pending().await,
    }
}

/// Runs the load engine on this machine.
async fn run_engine(
    engine: Result<Box<dyn Engine + Send>, LoadError>,
    control: Arc<Control>,
) -> Result<Outcome, String> {
    let thread = tokio::task::spawn_blocking(move || engine?.run(&control));
    let outcome: Result<Outcome, LoadError> = thread
        .await
        .map_err(|panic| format!("the load engine panicked: {panic}"))?;
    outcome.map_err(|error| error.to_string())
}
