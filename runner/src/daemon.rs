//! The daemon: one task that owns the [`Table`] and performs its actions. It waits for its channels only: [`Attempt`]s run in tasks of their own,
//! [`Outbox`] sends events.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use protocol::bus::CommandReceiver;
use protocol::daemon::outbox::Outbox;
use protocol::event::{Pong, Stage};
use protocol::summary::Teardown;
use protocol::{AttemptId, Command, Envelope, Event};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::field::display;
use tracing::{debug, error, info};

use crate::clock;
use crate::execute::{Attempt, AttemptHandle, Context, failed};
use crate::facts;
use crate::state::Action;
use crate::sweep::CrashedAttempt;
use crate::table::{Effect, Table};

/// The daemon.
#[derive(Debug)]
pub struct Daemon {
    context: Arc<Context>,
    table: Table,
    attempts: HashMap<AttemptId, AttemptHandle>,
    outbox: Outbox,
    /// The events of attempts; [`Context`] has the sender.
    events: mpsc::UnboundedReceiver<(AttemptId, Event)>,
}

impl Daemon {
    /// A daemon without running attempts that knows those of a crashed previous instance.
    #[must_use]
    pub fn new(
        context: Context,
        outbox: Outbox,
        events: mpsc::UnboundedReceiver<(AttemptId, Event)>,
        crashed: Vec<CrashedAttempt>,
    ) -> Self {
        let mut table = Table::default();
        for (attempt, reply, last) in crashed {
            table.remember(attempt, reply, last);
        }
        Self {
            context: Arc::new(context),
            table,
            attempts: HashMap::new(),
            outbox,
            events,
        }
    }

    /// Serves until `shutdown`, then ends all attempts and publishes their last events.
    pub async fn run(mut self, mut commands: CommandReceiver, shutdown: CancellationToken) {
        loop {
            let lease = self.table.deadline();
            let effects = tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.outbox.tick() => continue,
                command = commands.recv() => {
                    log(&command);
                    self.table.on_command(command, Instant::now())
                }
                Some((attempt, event)) = self.events.recv() => self.on_event(attempt, event),
                () = sleep_until(lease.unwrap_or_else(Instant::now).into()), if lease.is_some() => {
                    self.table.expire_lease(Instant::now())
                }
            };
            self.perform(effects);
        }
        let effects = self.table.shut_down();
        self.perform(effects);
        // Every attempt ends within its deadlines and always has a last event.
        while self.table.is_busy()
            && let Some((attempt, event)) = self.events.recv().await
        {
            let effects = self.on_event(attempt, event);
            self.perform(effects);
        }
        // The outbox ends with its last sender, of which the context has one.
        drop(self.context);
        self.outbox.close().await;
    }

    fn on_event(&mut self, attempt: AttemptId, event: Event) -> Vec<Effect> {
        self.table.on_event(attempt, event).unwrap_or_else(|error| {
            error!(%attempt, %error, "internal error");
            Vec::new()
        })
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for (to, action) in effects {
            match (action, to.attempt) {
                (Action::Publish(event), _) => self.outbox.publish(to, event),
                (Action::Pong, _) => {
                    let clock_ns = clock::now_ns();
                    self.outbox.send_now(to, Event::Pong(Pong { clock_ns }));
                }
                (Action::Describe(describe), _) => {
                    let (context, queue) = (Arc::clone(&self.context), self.outbox.sender());
                    tokio::spawn(async move {
                        let facts = facts::described(&context.host, &context.catalog, &describe).await;
                        let _ = queue.send((to, Event::Facts(Box::new(facts))));
                    });
                }
                (Action::Start(run), Some(id)) => {
                    let (attempt, handle) = Attempt::new(Arc::clone(&self.context), id, to, *run);
                    self.attempts.retain(|_, handle| !handle.is_closed());
                    self.attempts.insert(id, handle);
                    let events = self.context.events.clone();
                    tokio::spawn(async move {
                        let last = AssertUnwindSafe(attempt.run()).catch_unwind().await;
                        let last = last.unwrap_or_else(|_| {
                            let why = "internal error of the runner: see its log".to_owned();
                            failed(Stage::Unknown, why, Teardown::default())
                        });
                        // The receiver is gone if the runner ends immediately.
                        let _ = events.send((id, last));
                    });
                }
                (Action::Edge, Some(id)) => self.attempts.get(&id).into_iter().for_each(AttemptHandle::edge),
                (Action::End(reason), Some(id)) => {
                    info!(attempt = %id, ?reason, "ending");
                    self.attempts.get(&id).into_iter().for_each(|handle| handle.end(reason));
                }
                // The table addresses these to an attempt.
                (Action::Start(_) | Action::Edge | Action::End(_), None) => {}
            }
        }
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
