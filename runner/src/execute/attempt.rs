//! The way of one attempt, and its one way out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deploy::{AnyDriver, DeployError, HostGateway};
use protocol::event::Stage;
use protocol::spec::{NativeSpec, PlatformSpec};
use protocol::summary::Teardown;
use protocol::surroundings::{BROKER, SEED};
use protocol::{Event, envelope};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::fleet::Fleet;
use super::over::{Over, with_logs};
use super::serve::Served;
use super::{Context, Order, Reports, broker};
use crate::ledger::Record;
use crate::state::Why;
use crate::table::Report;
use crate::{kernel_log, summarise, sweep};

/// Folders of output that are kept.
const KEPT_LOGS: usize = 32;

/// How long something may take that is done in several phases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    whole: Duration,
    until: Instant,
}

impl Limit {
    /// So long from now.
    pub(super) fn of(whole: Duration) -> Self {
        let until = Instant::now() + whole;
        Self { whole, until }
    }

    /// What is left of it.
    pub(super) fn left(self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// One attempt.
pub(super) struct Attempt {
    pub(super) context: Arc<Context>,
    pub(super) order: Order,
    pub(super) ending: watch::Receiver<Option<Why>>,
    /// The edges of the measured window.
    pub(super) edges: mpsc::UnboundedReceiver<()>,
    pub(super) reports: Reports,
}

impl Attempt {
    /// Makes the attempt, from the wait for the host to the verified teardown, and returns its last word.
    pub(super) async fn make(mut self, slot: Arc<Semaphore>) -> Event {
        let _slot = tokio::select! {
            slot = slot.acquire_owned() => slot,
            why = ended(&mut self.ending) => return Over::Ended(why, Stage::Prepare).into_event(Teardown::default()),
        };
        if let Err(over) = self.enter().await {
            return over.into_event(Teardown::default());
        }
        let mut fleet = Fleet::default();
        let (ended, door) = self.bring_up(&mut fleet).await;
        let (last, teardown) = match ended {
            Ok(up) => {
                let served = self.serve(&mut fleet, up).await;
                self.take_down(fleet, served, door).await
            }
            Err(over) => {
                let mut stopped = fleet.stop(self.grace()).await;
                // Says the drivers' contract that nothing is left; this looks whether it is so. Only this attempt has the host.
                stopped.teardown.leftovers.extend(self.sweep().await);
                self.look_around(&mut stopped.teardown, door).await;
                (over.into_event(stopped.teardown.clone()), stopped.teardown)
            }
        };
        self.strike(&teardown).await;
        let names = self.order.run.services.iter().map(|service| service.name.as_str());
        with_logs(last, &self.logs(), [BROKER, SEED].into_iter().chain(names))
    }

    /// Reports to the daemon; it is gone only if the process is about to end.
    pub(super) fn report(&self, report: Report) {
        let _ = self.reports.send((self.order.attempt, report));
    }

    /// One phase of the start: it ends, breaks, runs out of time or is ended.
    pub(super) async fn phase<T>(
        &mut self,
        stage: Stage,
        limit: Limit,
        work: impl Future<Output = Result<T, DeployError>>,
    ) -> Result<T, Over> {
        tokio::select! {
            done = timeout(limit.left(), work) => match done {
                Ok(done) => done.map_err(|error| Over::Broken(stage, error.to_string())),
                Err(_) => Err(Over::Broken(stage, format!("not done within {} ms", limit.whole.as_millis()))),
            },
            why = ended(&mut self.ending) => Err(Over::Ended(why, stage)),
        }
    }

    async fn take_down(&self, fleet: Fleet, served: Served, door: Option<HostGateway>) -> (Event, Teardown) {
        let mut stopped = fleet.stop(self.grace()).await;
        self.look_around(&mut stopped.teardown, door).await;
        let teardown = stopped.teardown.clone();
        let last = match (served.over, served.sampled) {
            (Over::Ended(Why::Stop(_), _), Some(sampled)) => {
                let kernel_log = kernel_log::summary(served.kernel_log);
                Event::Summary(summarise::summary(&served.services, &sampled, kernel_log, stopped))
            }
            (over, _) => over.into_event(stopped.teardown),
        };
        (last, teardown)
    }

    /// Removes what bears our mark on every platform of this attempt.
    async fn sweep(&self) -> Vec<String> {
        let (host, native) = (&self.context.host, PlatformSpec::Native(NativeSpec {}));
        let mut left = sweep::clean(&AnyDriver::for_platform(&self.order.run.platform, host)).await;
        if self.order.run.platform != native {
            left.extend(sweep::clean(&AnyDriver::for_platform(&native, host)).await);
        }
        left
    }

    /// Looks after what belongs to no service: the broker's files and its second port.
    async fn look_around(&self, teardown: &mut Teardown, door: Option<HostGateway>) {
        let Some(broker) = &self.order.run.broker else { return };
        teardown.leftovers.extend(broker::leftover(broker, door));
        let data = broker::data(&self.context.host, self.order.attempt);
        match tokio::fs::remove_dir_all(&data).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let left = format!("the broker's files in {}: {error}", data.display());
                teardown.leftovers.push(left);
            }
            _ => {}
        }
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(self.order.run.deadlines.grace_ms)
    }

    /// Where the output of this attempt goes.
    pub(super) fn logs(&self) -> PathBuf {
        self.all_logs().join(self.order.attempt.to_string())
    }

    fn all_logs(&self) -> PathBuf {
        self.context.host.state.join("logs")
    }

    /// Writes the attempt down before anything of it exists, and makes room for its output.
    async fn enter(&self) -> Result<(), Over> {
        let (ledger, record, logs) = (self.context.ledger.clone(), self.record(), self.all_logs());
        let folder = self.logs();
        let written = tokio::task::spawn_blocking(move || -> Result<(), String> {
            ledger.enter(&record).map_err(|error| error.to_string())?;
            forget_logs(&logs);
            let made = std::fs::create_dir_all(&folder);
            made.map_err(|error| format!("cannot make {}: {error}", folder.display()))
        });
        let written = written.await.unwrap_or_else(|fault| Err(fault.to_string()));
        written.map_err(|why| Over::Broken(Stage::Prepare, why))
    }

    /// Strikes the attempt off the ledger if nothing is left of it.
    async fn strike(&self, teardown: &Teardown) {
        let attempt = self.order.attempt;
        if !teardown.leftovers.is_empty() {
            warn!(%attempt, leftovers = ?teardown.leftovers, "something is left, the next start of the runner looks after it");
            return;
        }
        let ledger = self.context.ledger.clone();
        let struck = tokio::task::spawn_blocking(move || ledger.strike(attempt)).await;
        match struck {
            Ok(Ok(())) => info!(%attempt, "over, nothing is left"),
            Ok(Err(error)) => warn!(%attempt, %error, "over, but still in the ledger"),
            Err(fault) => warn!(%attempt, %fault, "over, but still in the ledger"),
        }
    }

    fn record(&self) -> Record {
        let (order, trial) = (&self.order, &self.order.run.trial);
        Record {
            attempt: order.attempt,
            runner: self.context.host.runner.clone(),
            controller: order.controller.clone(),
            epoch: order.epoch,
            trial: format!(
                "{} {} block {} attempt {}",
                trial.experiment, trial.cell, trial.block, trial.attempt
            ),
            started_unix_ms: envelope::unix_ms(),
            platform: Some(order.run.platform.clone()),
        }
    }
}

/// Waits until the attempt is ended from outside; the daemon that would do it lives as long as the runtime.
pub(super) async fn ended(ending: &mut watch::Receiver<Option<Why>>) -> Why {
    match ending.wait_for(Option::is_some).await {
        Ok(why) => why.unwrap_or(Why::Shutdown),
        Err(_) => Why::Shutdown,
    }
}

/// Removes the output of all but the newest attempts; their names sort by time.
fn forget_logs(logs: &std::path::Path) {
    let Ok(listing) = std::fs::read_dir(logs) else { return };
    let mut folders: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    let old = folders.len().saturating_sub(KEPT_LOGS - 1);
    for folder in &folders[..old] {
        if let Err(error) = std::fs::remove_dir_all(folder) {
            warn!(folder = %folder.display(), %error, "old output cannot be removed");
        }
    }
}
