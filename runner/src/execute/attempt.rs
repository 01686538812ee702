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
use protocol::{AttemptId, Event, Name, envelope};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::deployments::Deployments;
use super::outcome::{Outcome, with_logs};
use super::plan::{self, Programs};
use crate::crash_journal::{CrashJournal, Record};
use crate::kernel_log::{self, KernelLog};
use crate::sampler::{Priority, totals};
use crate::services::Catalog;
use crate::state::EndReason;
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
    /// One attempt at a time has the host; the next one waits for its teardown.
    pub slot: Semaphore,
    /// Receives the events of attempts, for their state machines.
    pub events: mpsc::UnboundedSender<(AttemptId, Event)>,
    /// Receives SAMPLES, which bypass the state machines.
    pub samples: mpsc::UnboundedSender<(Reply, Event)>,
}

/// A time limit that several phases share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    timeout: Duration,
    at: Instant,
}

impl Deadline {
    /// This many milliseconds from now.
    pub(super) fn after_ms(timeout_ms: u64) -> Self {
        let timeout = Duration::from_millis(timeout_ms);
        let at = Instant::now() + timeout;
        Self { timeout, at }
    }

    /// The time that is left.
    pub(super) fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// One attempt.
#[derive(Debug)]
pub struct Attempt {
    pub(super) context: Arc<Context>,
    pub(super) id: AttemptId,
    /// Addresses its samples.
    pub(super) reply: Reply,
    pub(super) run: Arc<Run>,
    pub(super) end_rx: watch::Receiver<Option<EndReason>>,
    /// The edges of the measurement window.
    pub(super) edges: mpsc::UnboundedReceiver<()>,
    /// How the platform reaches the host, if a broker needs to know.
    pub(super) gateway: Option<HostGateway>,
    /// The kernel's log since just before the start; `None`: not readable.
    pub(super) kernel_log: Option<KernelLog>,
}

/// The channels to a running attempt.
#[derive(Debug)]
pub struct AttemptHandle {
    end_tx: watch::Sender<Option<EndReason>>,
    edge_tx: mpsc::UnboundedSender<()>,
}

impl AttemptHandle {
    /// Tells the attempt that its measurement window begins or ends.
    pub fn edge(&self) {
        // An attempt that has ended has no window.
        let _ = self.edge_tx.send(());
    }

    /// Tells the attempt to end; the first reason counts.
    pub fn end(&self, reason: EndReason) {
        self.end_tx.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(reason);
            is_first
        });
    }

    /// Whether the attempt has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.end_tx.is_closed()
    }
}

impl Attempt {
    /// An attempt for the controller that `reply` addresses.
    #[must_use]
    pub fn new(context: Arc<Context>, id: AttemptId, reply: Reply, run: Run) -> (Self, AttemptHandle) {
        let (end_tx, end_rx) = watch::channel(None);
        let (edge_tx, edges) = mpsc::unbounded_channel();
        let in_reply_to = None;
        let attempt = Self {
            context,
            id,
            reply: Reply { in_reply_to, ..reply },
            run: Arc::new(run),
            end_rx,
            edges,
            gateway: None,
            kernel_log: None,
        };
        (attempt, AttemptHandle { end_tx, edge_tx })
    }

    /// Runs the attempt and returns its last event.
    pub async fn run(mut self) -> Event {
        let context = Arc::clone(&self.context);
        let _slot = tokio::select! {
            slot = context.slot.acquire() => slot,
            reason = ended(&mut self.end_rx) => {
                return Outcome::Ended(reason, Stage::Prepare).into_event(Teardown::default());
            }
        };
        if let Err(outcome) = self.record_start().await {
            return outcome.into_event(Teardown::default());
        }
        let mut deployments = Deployments::default();
        let (outcome, sampled) = match self.bring_up(&mut deployments).await {
            Ok(up) => self.measure(&mut deployments, up).await,
            Err(outcome) => (outcome, None),
        };
        let services: Vec<Name> = deployments.services().map(|started| started.service.clone()).collect();
        let mut stopped = deployments.stop(self.grace()).await;
        if sampled.is_none() {
            // Drivers must leave nothing when a start fails; this verifies it. No other attempt has the host.
            stopped.teardown.leftovers.extend(self.sweep().await);
        }
        self.remove_broker_data(&mut stopped.teardown).await;
        self.record_end(&stopped.teardown).await;
        let last = match (outcome, sampled) {
            (Outcome::Ended(EndReason::Stop(_), _), Some(sampled)) => {
                let kernel_log = kernel_log::summary(self.kernel_log.take());
                Event::Summary(totals::summary(&services, &sampled, kernel_log, stopped))
            }
            (outcome, _) => outcome.into_event(stopped.teardown),
        };
        let names = self.run.services.iter().map(|service| service.name.as_str());
        with_logs(last, &self.logs(), [BROKER, SEED].into_iter().chain(names))
    }

    /// Reports an event to the attempt's state machine.
    pub(super) fn report(&self, event: Event) {
        // The receiver is gone if the process ends.
        let _ = self.context.events.send((self.id, event));
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

    /// Removes what bears the runner's mark on every platform of this attempt.
    async fn sweep(&self) -> Vec<String> {
        let (host, native) = (&self.context.host, PlatformSpec::Native(NativeSpec {}));
        let mut left = sweep::sweep_platform(&AnyDriver::for_platform(&self.run.platform, host)).await;
        if self.run.platform != native {
            left.extend(sweep::sweep_platform(&AnyDriver::for_platform(&native, host)).await);
        }
        left
    }

    /// Verifies and removes what belongs to no service: the broker's second port and its files.
    async fn remove_broker_data(&self, teardown: &mut Teardown) {
        let Some(broker) = &self.run.broker else { return };
        let taken = self
            .gateway
            .and_then(|gateway| plan::taken_broker_port(broker, gateway));
        teardown.leftovers.extend(taken);
        let data = plan::broker_data(&self.context.host, self.id);
        match tokio::fs::remove_dir_all(&data).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let left = format!("files of the broker in {}: {error}", data.display());
                teardown.leftovers.push(left);
            }
            _ => {}
        }
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(self.run.deadlines.grace_ms)
    }

    /// The folder of this attempt's output.
    pub(super) fn logs(&self) -> PathBuf {
        self.all_logs().join(self.id.to_string())
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
        let attempt = self.id;
        if !teardown.leftovers.is_empty() {
            warn!(%attempt, leftovers = ?teardown.leftovers, "teardown incomplete; the next start of the runner cleans up");
            return;
        }
        let journal = self.context.journal.clone();
        let removed = tokio::task::spawn_blocking(move || journal.remove(attempt)).await;
        match removed.map_err(anyhow::Error::from).and_then(|removed| Ok(removed?)) {
            Ok(()) => info!(%attempt, "ended, nothing is left"),
            Err(error) => warn!(%attempt, %error, "ended, but still in the journal"),
        }
    }

    fn record(&self) -> Record {
        let trial = &self.run.trial;
        Record {
            attempt: self.id,
            runner: self.context.host.runner.clone(),
            controller: self.reply.controller.clone(),
            epoch: self.reply.epoch,
            trial: format!(
                "{} {} block {} attempt {}",
                trial.experiment, trial.cell, trial.block, trial.attempt
            ),
            started_unix_ms: envelope::unix_ms(),
            platform: Some(self.run.platform.clone()),
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
