//! One task per attempt: prepare, start, wait for READY, sample, stop.
//!
//! * [`Executors`]: starts the tasks and ends them.
//! * `attempt`: an attempt from the wait for the host to the verified teardown.
//! * `bring_up`: its first part, from the probe of the platform to seeded services that reply; `measure`: from READY to the end of sampling.
//! * `plan`: what is deployed where and in which order, with the broker that the services use.
//! * `deployments`: everything of an attempt that runs; `placement`: on which CPUs it runs.
//! * `outcome`: how an attempt ended, as an event.

mod attempt;
mod bring_up;
mod deployments;
mod measure;
mod outcome;
mod placement;
mod plan;

use std::collections::HashMap;
use std::sync::Arc;

use protocol::AttemptId;
use protocol::event::Stage;
use protocol::summary::Teardown;
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::error;

use crate::state::{EndReason, Input};
use attempt::Attempt;
pub use attempt::{AttemptSpec, Context, Events, Reports};
use outcome::failed;
pub use plan::Programs;

/// The channels to a running attempt.
#[derive(Debug)]
struct AttemptHandle {
    end_tx: watch::Sender<Option<EndReason>>,
    edge_tx: mpsc::UnboundedSender<()>,
}

/// The tasks of all attempts. Dropping this aborts none of them; they end with the runtime.
#[derive(Debug)]
pub struct Executors {
    context: Arc<Context>,
    reports: Reports,
    events: Events,
    /// One attempt at a time has the host; the next one waits for its teardown.
    slot: Arc<Semaphore>,
    attempts: HashMap<AttemptId, AttemptHandle>,
}

impl Executors {
    /// No tasks yet. They send the inputs of their state machines to `reports`, and samples directly to `events`.
    #[must_use]
    pub fn new(context: Context, reports: Reports, events: Events) -> Self {
        Self {
            context: Arc::new(context),
            reports,
            events,
            slot: Arc::new(Semaphore::new(1)),
            attempts: HashMap::new(),
        }
    }

    /// What all attempts share.
    #[must_use]
    pub fn context(&self) -> Arc<Context> {
        Arc::clone(&self.context)
    }

    /// Starts an attempt. Its last report is [`Input::Finished`], whatever happens to it.
    pub fn start(&mut self, spec: AttemptSpec) {
        self.attempts.retain(|_, handle| !handle.end_tx.is_closed());
        let (end_tx, end_rx) = watch::channel(None);
        let (edge_tx, edges) = mpsc::unbounded_channel();
        let id = spec.attempt;
        self.attempts.insert(id, AttemptHandle { end_tx, edge_tx });
        let attempt = Attempt {
            context: Arc::clone(&self.context),
            spec,
            end_rx,
            edges,
            reports: self.reports.clone(),
            events: self.events.clone(),
        };
        let (slot, reports) = (Arc::clone(&self.slot), self.reports.clone());
        tokio::spawn(async move {
            // In a task of its own, so that a panic is reported as well.
            let last = tokio::spawn(attempt.run(slot)).await.unwrap_or_else(|error| {
                error!(attempt = %id, %error, "executor failed");
                let why = format!("internal error of the runner: {error}");
                failed(Stage::Unknown, why, Teardown::default())
            });
            // The receiver is gone if the runner ends immediately.
            let _ = reports.send((id, Input::Finished(Box::new(last))));
        });
    }

    /// Tells an attempt that its measurement window begins or ends.
    pub fn edge(&self, attempt: AttemptId) {
        if let Some(handle) = self.attempts.get(&attempt) {
            // An attempt that has ended has no window.
            let _ = handle.edge_tx.send(());
        }
    }

    /// Tells an attempt to end; the first reason counts.
    pub fn end(&mut self, attempt: AttemptId, reason: EndReason) {
        if let Some(handle) = self.attempts.get(&attempt) {
            handle.end_tx.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(reason);
                is_first
            });
        }
    }
}
