//! An attempt from the wait for the host to the verified teardown. There is one way out of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deploy::{AnyDriver, DeployError, Host, HostGateway};
use protocol::bus::Reply;
use protocol::command::Run;
use protocol::event::Stage;
use protocol::spec::{BROKER, SEED};
use protocol::spec::{CpuSet, NativeSpec, PlatformSpec};
use protocol::summary::Teardown;
use protocol::{AttemptId, Epoch, Event, Name, envelope};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::deployments::Deployments;
use super::outcome::{Outcome, with_logs};
use super::plan::{self, Programs};
use crate::crash_journal::{CrashJournal, Record};
use crate::kernel_log::{self, KernelLog};
use crate::sampler::{Priority, Sampled, totals};
use crate::services::Catalog;
use crate::state::{EndReason, Input};
use crate::sweep;

/// The number of attempts whose output is kept.
const KEPT_LOGS: usize = 32;

/// What all attempts share.
#[derive(Debug)]
pub struct Context {
    /// The host.
    pub host: Host,
    /// The programs besides the workload.
    pub programs: Programs,
    /// The services that can be run here.
    pub catalog: Catalog,
    /// The attempts that run, on disk.
    pub journal: CrashJournal,
    /// Page size, bytes.
    pub page_bytes: u64,
    /// If the runner is pinned: the CPUs of services whose RUN names none. `None`: they run where the runner does.
    pub free_cpus: Option<CpuSet>,
    /// How the sampler's thread is scheduled.
    pub sampler: Priority,
}

/// What is to be attempted, and for whom.
#[derive(Clone, Debug)]
pub struct AttemptSpec {
    /// The attempt.
    pub attempt: AttemptId,
    /// The controller that sent the RUN.
    pub controller: Name,
    /// Its epoch.
    pub epoch: Epoch,
    /// The RUN.
    pub run: Run,
}

/// The inputs for the state machines of all attempts.
pub type Reports = mpsc::UnboundedSender<(AttemptId, Input)>;

/// Events that bypass the state machines: samples.
pub type Events = mpsc::UnboundedSender<(Reply, Event)>;

/// A time limit that several phases share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    timeout: Duration,
    at: Instant,
}

impl Deadline {
    /// This long from now.
    pub(super) fn after(timeout: Duration) -> Self {
        let at = Instant::now() + timeout;
        Self { timeout, at }
    }

    /// The time that is left.
    pub(super) fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// One attempt.
pub(super) struct Attempt {
    pub(super) context: Arc<Context>,
    pub(super) spec: AttemptSpec,
    pub(super) end_rx: watch::Receiver<Option<EndReason>>,
    /// The edges of the measurement window.
    pub(super) edges: mpsc::UnboundedReceiver<()>,
    pub(super) reports: Reports,
    pub(super) events: Events,
}

/// The result of an attempt that got as far as its measurement.
pub(super) struct Measured {
    pub(super) outcome: Outcome,
    /// `None`: it did not become READY.
    pub(super) sampled: Option<Sampled>,
    /// Every service, in the order of their start.
    pub(super) services: Vec<Name>,
    /// The kernel's log since just before the start.
    pub(super) kernel_log: Option<KernelLog>,
}

impl Attempt {
    /// Runs the attempt and returns its last event.
    pub(super) async fn run(mut self, slot: Arc<Semaphore>) -> Event {
        let _slot = tokio::select! {
            slot = slot.acquire_owned() => slot,
            reason = ended(&mut self.end_rx) => {
                return Outcome::Ended(reason, Stage::Prepare).into_event(Teardown::default());
            }
        };
        if let Err(outcome) = self.record_start().await {
            return outcome.into_event(Teardown::default());
        }
        let mut deployments = Deployments::default();
        let (up, gateway) = self.bring_up(&mut deployments).await;
        let (last, teardown) = match up {
            Ok(up) => {
                let measured = self.measure(&mut deployments, up).await;
                self.tear_down(deployments, measured, gateway).await
            }
            Err(outcome) => {
                let mut stopped = deployments.stop(self.grace()).await;
                // Drivers must leave nothing when a start fails; this verifies it. No other attempt has the host.
                stopped.teardown.leftovers.extend(self.sweep().await);
                self.remove_broker_data(&mut stopped.teardown, gateway).await;
                (outcome.into_event(stopped.teardown.clone()), stopped.teardown)
            }
        };
        self.record_end(&teardown).await;
        let names = self.spec.run.services.iter().map(|service| service.name.as_str());
        with_logs(last, &self.logs(), [BROKER, SEED].into_iter().chain(names))
    }

    /// Sends an input to the attempt's state machine.
    pub(super) fn report(&self, input: Input) {
        // The receiver is gone if the process ends.
        let _ = self.reports.send((self.spec.attempt, input));
    }

    /// Runs one phase of the start until it is done, fails, times out or the attempt is ended.
    pub(super) async fn phase<T>(
        &mut self,
        stage: Stage,
        deadline: Deadline,
        work: impl Future<Output = Result<T, DeployError>>,
    ) -> Result<T, Outcome> {
        tokio::select! {
            done = timeout(deadline.left(), work) => match done {
                Ok(done) => done.map_err(|error| Outcome::Failed(stage, error.to_string())),
                Err(_) => Err(Outcome::Failed(stage, format!("not done within {} ms", deadline.timeout.as_millis()))),
            },
            reason = ended(&mut self.end_rx) => Err(Outcome::Ended(reason, stage)),
        }
    }

    async fn tear_down(
        &self,
        deployments: Deployments,
        measured: Measured,
        gateway: Option<HostGateway>,
    ) -> (Event, Teardown) {
        let mut stopped = deployments.stop(self.grace()).await;
        self.remove_broker_data(&mut stopped.teardown, gateway).await;
        let teardown = stopped.teardown.clone();
        let last = match (measured.outcome, measured.sampled) {
            (Outcome::Ended(EndReason::Stop(_), _), Some(sampled)) => {
                let kernel_log = kernel_log::summary(measured.kernel_log);
                Event::Summary(totals::summary(&measured.services, &sampled, kernel_log, stopped))
            }
            (outcome, _) => outcome.into_event(stopped.teardown),
        };
        (last, teardown)
    }

    /// Removes what bears the runner's mark on every platform of this attempt.
    async fn sweep(&self) -> Vec<String> {
        let (host, native) = (&self.context.host, PlatformSpec::Native(NativeSpec {}));
        let mut left = sweep::sweep_platform(&AnyDriver::for_platform(&self.spec.run.platform, host)).await;
        if self.spec.run.platform != native {
            left.extend(sweep::sweep_platform(&AnyDriver::for_platform(&native, host)).await);
        }
        left
    }

    /// Verifies and removes what belongs to no service: the broker's second port and its files.
    async fn remove_broker_data(&self, teardown: &mut Teardown, gateway: Option<HostGateway>) {
        let Some(broker) = &self.spec.run.broker else { return };
        teardown.leftovers.extend(plan::taken_broker_port(broker, gateway));
        let data = plan::broker_data(&self.context.host, self.spec.attempt);
        match tokio::fs::remove_dir_all(&data).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let left = format!("files of the broker in {}: {error}", data.display());
                teardown.leftovers.push(left);
            }
            _ => {}
        }
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(self.spec.run.deadlines.grace_ms)
    }

    /// The folder of this attempt's output.
    pub(super) fn logs(&self) -> PathBuf {
        self.all_logs().join(self.spec.attempt.to_string())
    }

    fn all_logs(&self) -> PathBuf {
        self.context.host.state.join("logs")
    }

    /// Records the attempt before anything of it exists, and creates the folder of its output.
    async fn record_start(&self) -> Result<(), Outcome> {
        let (journal, record, logs) = (self.context.journal.clone(), self.record(), self.all_logs());
        let folder = self.logs();
        let recorded = tokio::task::spawn_blocking(move || -> Result<(), String> {
            journal.insert(&record).map_err(|error| error.to_string())?;
            remove_oldest(&logs);
            let created = std::fs::create_dir_all(&folder);
            created.map_err(|error| format!("cannot create {}: {error}", folder.display()))
        });
        let recorded = recorded.await.unwrap_or_else(|error| Err(error.to_string()));
        recorded.map_err(|why| Outcome::Failed(Stage::Prepare, why))
    }

    /// Removes the attempt from the journal if nothing is left of it.
    async fn record_end(&self, teardown: &Teardown) {
        let attempt = self.spec.attempt;
        if !teardown.leftovers.is_empty() {
            warn!(%attempt, leftovers = ?teardown.leftovers, "teardown incomplete; the next start of the runner cleans up");
            return;
        }
        let journal = self.context.journal.clone();
        let removed = tokio::task::spawn_blocking(move || journal.remove(attempt)).await;
        match removed {
            Ok(Ok(())) => info!(%attempt, "ended, nothing is left"),
            Ok(Err(error)) => warn!(%attempt, %error, "ended, but still in the journal"),
            Err(error) => warn!(%attempt, %error, "ended, but still in the journal"),
        }
    }

    fn record(&self) -> Record {
        let (spec, trial) = (&self.spec, &self.spec.run.trial);
        Record {
            attempt: spec.attempt,
            runner: self.context.host.runner.clone(),
            controller: spec.controller.clone(),
            epoch: spec.epoch,
            trial: format!(
                "{} {} block {} attempt {}",
                trial.experiment, trial.cell, trial.block, trial.attempt
            ),
            started_unix_ms: envelope::unix_ms(),
            platform: Some(spec.run.platform.clone()),
        }
    }
}

/// Waits until the attempt is told to end.
pub(super) async fn ended(end_rx: &mut watch::Receiver<Option<EndReason>>) -> EndReason {
    match end_rx.wait_for(Option::is_some).await {
        Ok(reason) => reason.unwrap_or(EndReason::Shutdown),
        // The daemon, which owns the sender, lives as long as the runtime.
        Err(_) => EndReason::Shutdown,
    }
}

/// Removes the output of all but the newest attempts; the folders' names sort by time.
fn remove_oldest(logs: &Path) {
    let Ok(listing) = std::fs::read_dir(logs) else { return };
    let mut folders: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    let old = folders.len().saturating_sub(KEPT_LOGS - 1);
    for folder in &folders[..old] {
        if let Err(error) = std::fs::remove_dir_all(folder) {
            warn!(folder = %folder.display(), %error, "cannot remove old output");
        }
    }
}
