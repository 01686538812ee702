//! One task for every attempt: prepare, start, wait for READY, sample, stop.
//!
//! * [`Executors`] — starts the tasks and ends them.
//! * `attempt` — the way of one attempt, and its one way out.
//! * `bring_up` — the first half of it: from the proof of the platform to services that answer and are filled.
//! * `serve` — the middle of it: from READY to the end of sampling.
//! * `batches`, `broker` — what is deployed where, in which order; the broker that the services talk through.
//! * `idle` — the host just before the start; `placement` — where the services really run.
//! * `fleet` — everything that runs, seen as one.
//! * `over` — why an attempt is over, as the event that says so.

mod attempt;
mod batches;
mod bring_up;
mod broker;
mod fleet;
mod idle;
mod over;
mod placement;
mod serve;

use std::collections::HashMap;
use std::sync::Arc;

use deploy::Host;
use protocol::command::Run;
use protocol::event::Stage;
use protocol::spec::CpuSet;
use protocol::summary::{Exit, Teardown};
use protocol::{AttemptId, Epoch, Name};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::error;

use crate::ledger::Ledger;
use crate::state::{Input, Why};
use crate::table::Report;
use attempt::Attempt;
pub use broker::Programs;
use over::failed;

/// What every attempt works with.
#[derive(Debug)]
pub struct Context {
    /// The host.
    pub host: Host,
    /// The programs besides the workload.
    pub programs: Programs,
    /// The ledger.
    pub ledger: Ledger,
    /// Size of a page, bytes.
    pub page_bytes: u64,
    /// The CPUs of services that are not told theirs, where the runner keeps to some; `None`: services run where the runner does.
    pub free_cpus: Option<CpuSet>,
    /// How the sampler's thread is scheduled.
    pub sampler: crate::sampler::Priority,
}

/// One attempt to make.
#[derive(Clone, Debug)]
pub struct Order {
    /// The attempt.
    pub attempt: AttemptId,
    /// Who ordered it.
    pub controller: Name,
    /// Its generation.
    pub epoch: Epoch,
    /// What is ordered.
    pub run: Run,
}

/// Reports of all attempts.
pub type Reports = mpsc::UnboundedSender<(AttemptId, Report)>;

/// What an attempt is told by.
#[derive(Debug)]
struct Reins {
    end: watch::Sender<Option<Why>>,
    edge: mpsc::UnboundedSender<()>,
}

/// The tasks. Dropping this aborts none of them; they end with the runtime.
#[derive(Debug)]
pub struct Executors {
    context: Arc<Context>,
    reports: Reports,
    /// One attempt at a time has the host: the next waits for the teardown of the one before.
    slot: Arc<Semaphore>,
    reins: HashMap<AttemptId, Reins>,
}

impl Executors {
    /// No task yet; their reports go to `reports`.
    #[must_use]
    pub fn new(context: Context, reports: Reports) -> Self {
        Self {
            context: Arc::new(context),
            reports,
            slot: Arc::new(Semaphore::new(1)),
            reins: HashMap::new(),
        }
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.context.host
    }

    /// Starts an attempt; its last report is [`Input::Finished`], whatever happens to it.
    pub fn start(&mut self, order: Order) {
        self.reins.retain(|_, reins| !reins.end.is_closed());
        let (end, ending) = watch::channel(None);
        let (edge, edges) = mpsc::unbounded_channel();
        self.reins.insert(order.attempt, Reins { end, edge });
        let (id, reports) = (order.attempt, self.reports.clone());
        let attempt = Attempt {
            context: Arc::clone(&self.context),
            order,
            ending,
            edges,
            reports: self.reports.clone(),
        };
        let slot = Arc::clone(&self.slot);
        tokio::spawn(async move {
            // In a task of its own, so that a panic is an answer, too.
            let made = tokio::spawn(attempt.make(slot)).await;
            let last = made.unwrap_or_else(|fault| {
                error!(attempt = %id, %fault, "executor failed");
                failed(
                    Stage::Unknown,
                    format!("fault of the runner: {fault}"),
                    Teardown::default(),
                )
            });
            // Nobody listens any more when the runner was told to end at once.
            let _ = reports.send((id, Report::Step(Input::Finished(Box::new(last)))));
        });
    }

    /// Tells an attempt that its measured window begins or ends.
    pub fn edge(&self, attempt: AttemptId) {
        if let Some(reins) = self.reins.get(&attempt) {
            // An attempt that is over has no window.
            let _ = reins.edge.send(());
        }
    }

    /// Tells an attempt to end; the first reason counts.
    pub fn end(&mut self, attempt: AttemptId, why: Why) {
        if let Some(reins) = self.reins.get(&attempt) {
            reins.end.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(why);
                is_first
            });
        }
    }
}

/// An exit for people.
fn words(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::OutOfMemory => "out of memory: give it more with `memory_mib`".to_owned(),
        Exit::Crashed => "the guest crashed".to_owned(),
        Exit::Unserved => {
            "virtiofsd, which serves its guest a directory, ended before it: its last words are in the log".to_owned()
        }
        Exit::Killed => "killed".to_owned(),
        Exit::Unknown => "nobody saw how".to_owned(),
    }
}
