//! The daemon: one task that owns the [`Table`] and performs its actions. It waits for its channels only: [`crate::execute`] runs the attempts,
//! [`protocol::daemon::connection`] receives commands and sends events.

use std::time::Instant;

use protocol::bus::{EventSender, Reply};
use protocol::daemon::connection::Outbox;
use protocol::event::Pong;
use protocol::refusals::RefusalLog;
use protocol::{AttemptId, Command, Envelope, Event, Name};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::field::display;
use tracing::{debug, error, info};

use crate::clock;
use crate::execute::{AttemptSpec, Context, Executors};
use crate::facts;
use crate::state::{Action, Input};
use crate::sweep::CrashedAttempt;
use crate::table::{Effect, Table};

/// The daemon.
#[derive(Debug)]
pub struct Daemon {
    table: Table,
    executors: Executors,
    outbox: Outbox,
    /// Refusals of one controller for one reason are logged once and counted.
    refusals: RefusalLog<(Name, String)>,
    reports: mpsc::UnboundedReceiver<(AttemptId, Input)>,
}

impl Daemon {
    /// A daemon without running attempts that knows those of a crashed previous instance.
    #[must_use]
    pub fn new(context: Context, crashed: Vec<CrashedAttempt>, sender: watch::Receiver<EventSender>) -> Self {
        let (reports_tx, reports) = mpsc::unbounded_channel();
        let mut table = Table::default();
        for (attempt, reply, last) in crashed {
            table.remember(attempt, reply, last);
        }
        let outbox = Outbox::new(sender);
        Self {
            table,
            executors: Executors::new(context, reports_tx, outbox.sender()),
            outbox,
            refusals: RefusalLog::default(),
            reports,
        }
    }

    /// Serves until `shutdown`, then ends all attempts and publishes their last events.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Envelope<Command>>, shutdown: CancellationToken) {
        loop {
            let lease = self.table.deadline();
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.refusals.tick() => {}
                Some(command) = commands.recv() => self.on_command(command),
                Some((attempt, input)) = self.reports.recv() => self.on_report(attempt, input),
                () = sleep_until(lease.unwrap_or_else(Instant::now).into()), if lease.is_some() => {
                    let effects = self.table.expire_lease(Instant::now());
                    self.perform(effects);
                }
            }
        }
        self.shut_down().await;
    }

    async fn shut_down(mut self) {
        let effects = self.table.shut_down();
        self.perform(effects);
        while self.table.is_busy() {
            // Every executor ends within its deadlines and always sends a last report.
            let Some((attempt, input)) = self.reports.recv().await else {
                break;
            };
            self.on_report(attempt, input);
        }
        // The outbox ends with its last sender, and the executors have one.
        drop(self.executors);
        self.outbox.close().await;
    }

    fn on_command(&mut self, command: Envelope<Command>) {
        log(&command);
        let effects = self.table.on_command(command, Instant::now());
        self.perform(effects);
    }

    fn on_report(&mut self, attempt: AttemptId, input: Input) {
        match self.table.on_report(attempt, input) {
            Ok(effects) => self.perform(effects),
            Err(error) => error!(%attempt, %error, "internal error"),
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for (to, action) in effects {
            match (action, to.attempt) {
                (Action::Publish(event), _) => self.publish(to, event),
                (Action::Pong, _) => {
                    let clock_ns = clock::now_ns();
                    self.outbox.send_now(to, Event::Pong(Pong { clock_ns }));
                }
                (Action::Describe(describe), _) => {
                    let (context, queue) = (self.executors.context(), self.outbox.sender());
                    tokio::spawn(async move {
                        let facts = facts::described(&context.host, &context.catalog, &describe).await;
                        let _ = queue.send((to, Event::Facts(Box::new(facts))));
                    });
                }
                (Action::Start(run), Some(attempt)) => self.executors.start(AttemptSpec {
                    attempt,
                    controller: to.controller,
                    epoch: to.epoch,
                    run: *run,
                }),
                (Action::Edge, Some(attempt)) => self.executors.edge(attempt),
                (Action::End(reason), Some(attempt)) => {
                    info!(%attempt, ?reason, "ending");
                    self.executors.end(attempt, reason);
                }
                // The table addresses these to an attempt.
                (Action::Start(_) | Action::Edge | Action::End(_), None) => {}
            }
        }
    }

    fn publish(&mut self, to: Reply, event: Event) {
        let attempt = to.attempt.map(display);
        match &event {
            Event::Failed(failed) => info!(attempt, stage = ?failed.stage, "FAILED: {}", failed.why),
            Event::Refused(refused) => {
                let text = format!("REFUSED to controller {}: {}", to.controller, refused.why);
                self.refusals.note((to.controller.clone(), refused.why.clone()), text);
            }
            other => info!(attempt, "{}", other.as_str()),
        }
        self.outbox.send(to, event);
    }
}

fn log(command: &Envelope<Command>) {
    let (controller, attempt) = (&command.controller, command.attempt.map(display));
    match &command.body {
        Command::Run(run) => info!(%controller, attempt, cell = run.trial.cell, block = run.trial.block, "RUN"),
        Command::Stop(stop) => info!(%controller, attempt, reason = ?stop.reason, "STOP"),
        Command::Describe(_) => info!(%controller, "DESCRIBE"),
        Command::Ping(_) | Command::Renew(_) | Command::Edge(_) | Command::Prepare(_) | Command::Start(_) => {
            debug!(%controller, "{}", command.body.as_str());
        }
    }
}
