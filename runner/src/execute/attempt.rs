//! The way of one attempt, and its one way out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deploy::{AnyDriver, AnyRunning, DeployError, Deployment, Driver, Running, Stopped};
use protocol::event::{Refused, RefusedReason, Stage};
use protocol::summary::Teardown;
use protocol::{Event, Name, envelope};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::over::{Over, with_logs};
use super::serve::Served;
use super::{Context, Order, Reports};
use crate::ledger::Record;
use crate::state::{Input, Why};
use crate::table::Report;
use crate::{summarise, sweep};

/// How long a platform may take to say that it cannot be used, before the RUN is accepted all the same and `prepare` has to tell.
const PROBE: Duration = Duration::from_secs(5);

/// How much longer than the grace a teardown may take: containers, guests and cgroups end slowly on a loaded host.
const TEARDOWN: Duration = Duration::from_secs(60);

/// Folders of output that are kept.
const KEPT_LOGS: usize = 32;

/// One attempt.
pub(super) struct Attempt {
    pub(super) context: Arc<Context>,
    pub(super) order: Order,
    pub(super) ending: watch::Receiver<Option<Why>>,
    pub(super) reports: Reports,
}

/// A deployment whose processes were started.
pub(super) struct Deployed {
    pub(super) running: AnyRunning,
    /// When the driver was called.
    pub(super) called: Instant,
    /// How long making the image took.
    pub(super) prepared: Duration,
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
        let deployment = self.deployment();
        let driver = AnyDriver::for_platform(&self.order.run.platform, &self.context.host);
        let (last, teardown) = match self.deploy(&driver, &deployment).await {
            Ok(deployed) => self.serve_and_stop(deployed).await,
            Err(over) => {
                // Says the driver's contract; this looks whether it is so. Only this attempt has the host.
                let teardown = Teardown {
                    leftovers: sweep::clean(&driver).await,
                };
                (over.into_event(teardown.clone()), teardown)
            }
        };
        self.strike(&teardown).await;
        with_logs(last, &deployment.logs, &self.order.run.services)
    }

    /// Reports to the daemon; it is gone only if the process is about to end.
    pub(super) fn report(&self, report: Report) {
        let _ = self.reports.send((self.order.attempt, report));
    }

    /// Proves the platform, makes the image and starts the processes.
    async fn deploy(&mut self, driver: &AnyDriver, deployment: &Deployment) -> Result<Deployed, Over> {
        let deadlines = self.order.run.deadlines.clone();
        let probed = self
            .phase(Stage::Prepare, PROBE, async { Ok(driver.probe().await) })
            .await;
        let probed = match probed {
            Err(Over::Broken(..)) => None,
            probed => Some(probed?),
        };
        if let Some(unmet) = probed.and_then(|facts| facts.unmet) {
            return Err(Over::Refused(Refused {
                reason: RefusedReason::Unmet,
                why: format!("{}: {}", unmet.need, unmet.remedy),
            }));
        }
        self.report(Report::Step(Input::Accepted));
        let began = Instant::now();
        let prepare = Duration::from_millis(deadlines.prepare_ms);
        self.phase(Stage::Prepare, prepare, driver.prepare(deployment)).await?;
        let (prepared, called) = (began.elapsed(), Instant::now());
        let ready = Duration::from_millis(deadlines.ready_ms);
        let running = self.phase(Stage::Start, ready, driver.start(deployment)).await?;
        Ok(Deployed {
            running,
            called,
            prepared,
        })
    }

    /// One phase of the start: it ends, breaks, runs out of time or is ended.
    async fn phase<T>(
        &mut self,
        stage: Stage,
        deadline: Duration,
        work: impl Future<Output = Result<T, DeployError>>,
    ) -> Result<T, Over> {
        tokio::select! {
            done = timeout(deadline, work) => match done {
                Ok(done) => done.map_err(|error| Over::Broken(stage, error.to_string())),
                Err(_) => Err(Over::Broken(stage, format!("not done within {} ms", deadline.as_millis()))),
            },
            why = ended(&mut self.ending) => Err(Over::Ended(why, stage)),
        }
    }

    async fn serve_and_stop(&mut self, mut deployed: Deployed) -> (Event, Teardown) {
        let Served { over, sampled } = self.serve(&mut deployed).await;
        let grace = Duration::from_millis(self.order.run.deadlines.grace_ms);
        let stopped = timeout(grace + TEARDOWN, deployed.running.stop()).await;
        let stopped = stopped.unwrap_or_else(|_| Stopped {
            exits: Vec::new(),
            sizes: Vec::new(),
            teardown: left(format!(
                "the teardown did not end within {} s",
                (grace + TEARDOWN).as_secs()
            )),
        });
        let teardown = stopped.teardown.clone();
        let last = match (over, sampled) {
            (Over::Ended(Why::Stop(_), _), Some(sampled)) => {
                let names = self.order.run.services.iter().map(|service| service.name.clone());
                let names: Vec<Name> = names.collect();
                Event::Summary(summarise::summary(&names, &sampled, stopped))
            }
            (over, _) => over.into_event(stopped.teardown),
        };
        (last, teardown)
    }

    fn deployment(&self) -> Deployment {
        let run = &self.order.run;
        Deployment {
            attempt: self.order.attempt,
            platform: run.platform.clone(),
            services: run.services.clone(),
            resources: run.resources.clone(),
            logs: self.logs().join(self.order.attempt.to_string()),
            grace: Duration::from_millis(run.deadlines.grace_ms),
        }
    }

    fn logs(&self) -> PathBuf {
        self.context.host.state.join("logs")
    }

    /// Writes the attempt down before anything of it exists, and makes room for its output.
    async fn enter(&self) -> Result<(), Over> {
        let (ledger, record, logs) = (self.context.ledger.clone(), self.record(), self.logs());
        let folder = logs.join(self.order.attempt.to_string());
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

fn left(what: String) -> Teardown {
    Teardown { leftovers: vec![what] }
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
