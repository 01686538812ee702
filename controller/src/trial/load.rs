//! The load of an attempt, run next to the conversation with the runner.

use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use protocol::Command;
use protocol::command::Edge;
use protocol::event::Ready;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::spec::AttemptSpec;
use super::workload::truth;
use crate::fleet::SharedFleet;
use crate::peer::clock::Exchange;
use crate::peer::link::Link;
use analysis::store::{LoaderRecord, ReadbackRecord};
use loader::{Control, Engine, LoadError, Outcome, Progress, check_reachable, check_tls};

/// The number of PING exchanges with the runner before the load, and again after it.
const EXCHANGES: u32 = 8;

/// A load that is running or has ended. Dropping it aborts it.
#[derive(Debug)]
pub struct RunningLoad {
    control: Arc<Control>,
    cancelled: CancellationToken,
    work: JoinHandle<LoadResult>,
}

/// The result of a load, as far as it got.
#[derive(Debug, Default)]
pub struct LoadResult {
    /// The result of the load engine.
    pub outcome: Option<Outcome>,
    /// The part of each loader.
    pub loaders: Vec<LoaderRecord>,
    /// The readback of what the services did.
    pub readback: Option<ReadbackRecord>,
    /// The exchanges with the runner before and after the load.
    pub exchanges: Vec<Exchange>,
    /// Why it failed; `None`: it completed.
    pub failure: Option<String>,
}

impl RunningLoad {
    /// Checks that the service is reachable, measures the runner's clock, generates the load, on a fleet of loaders if there is one, announces the
    /// edges of its window, reads back what the services did, and measures the clock again, which bounds its drift.
    #[must_use]
    pub fn start(spec: Arc<AttemptSpec>, ready: Ready, link: Arc<Link>, fleet: Option<SharedFleet>) -> Self {
        let (control, cancelled) = (Arc::new(Control::new()), CancellationToken::new());
        let load = Load {
            fleet: fleet.filter(|_| spec.is_split()),
            spec,
            ready,
            link,
            control: Arc::clone(&control),
            cancelled: cancelled.clone(),
        };
        let work = tokio::spawn(async move {
            let mut result = LoadResult::default();
            result.failure = load.run(&mut result).await.err();
            result
        });
        Self {
            control,
            cancelled,
            work,
        }
    }

    /// Waits for the result. Cancel-safe; must not be called again once it has returned.
    pub async fn result(&mut self) -> LoadResult {
        let result = (&mut self.work).await;
        result.unwrap_or_else(|panic| LoadResult {
            failure: Some(format!("the load panicked: {panic}")),
            ..LoadResult::default()
        })
    }

    /// Aborts the load; what was measured until then is still returned.
    pub fn abort(&self) {
        self.control.cancel();
        self.cancelled.cancel();
    }

    /// The progress of the load.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.control.progress()
    }
}

impl Drop for RunningLoad {
    fn drop(&mut self) {
        self.abort();
    }
}

struct Load {
    spec: Arc<AttemptSpec>,
    ready: Ready,
    link: Arc<Link>,
    fleet: Option<SharedFleet>,
    control: Arc<Control>,
    cancelled: CancellationToken,
}

impl Load {
    async fn run(&self, result: &mut LoadResult) -> Result<(), String> {
        let (spec, entry) = (&self.spec, &self.spec.entry);
        let no_endpoint = || format!("READY has no endpoint of {entry}");
        let endpoint = AttemptSpec::endpoint(&self.ready, entry).ok_or_else(no_endpoint)?;
        self.unless_aborted(async {
            // Loaders check it themselves.
            if self.fleet.is_none() {
                check_reachable(&spec.contact(), endpoint).await?;
                check_tls(&spec.load, endpoint).await?;
            }
            self.measure_clock(&mut result.exchanges).await
        })
        .await?;
        let (edges, announce) = (spec.edges(), || self.link.send(spec.attempt, Command::Edge(Edge {})));
        let (outcome, loaders) = match &self.fleet {
            Some(fleet) => {
                let (started_tx, started_rx) = oneshot::channel();
                let (mut fleet, load) = (fleet.lock().await, spec.fleet_load(endpoint));
                let outcome = fleet.run(&load, &self.control, &self.cancelled, started_tx);
                edges.announce(announce, start_of(started_rx), outcome).await?
            }
            None => {
                let outcome = run_engine(spec.engine(endpoint), Arc::clone(&self.control));
                let outcome = edges.announce(announce, ready(Instant::now()), outcome).await?;
                (outcome, Vec::new())
            }
        };
        (result.outcome, result.loaders) = (Some(outcome), loaders);
        self.unless_aborted(async {
            if let Some(witness) = spec.witness(&self.ready) {
                result.readback = Some(truth::check(witness, &spec.accepted.all()).await);
            }
            self.measure_clock(&mut result.exchanges).await
        })
        .await?;
        result.outcome.as_ref().and_then(failure_of).map_or(Ok(()), Err)
    }

    async fn measure_clock(&self, exchanges: &mut Vec<Exchange>) -> Result<(), String> {
        let measured = self.link.measure_clock(EXCHANGES, exchanges).await;
        measured.map_err(|error| error.to_string())
    }

    async fn unless_aborted(&self, work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
        let aborted = || Err("the load was aborted".to_owned());
        let done = self.cancelled.run_until_cancelled(work).await;
        done.unwrap_or_else(aborted)
    }
}

/// Why a load program failed, whose output is kept all the same; `None`: it did not, or the load is one of our engines.
fn failure_of(outcome: &Outcome) -> Option<String> {
    let external = outcome.external.as_ref()?;
    let why = external.failure.as_ref()?;
    Some(format!("{} failed: {why}", external.program))
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
