//! The daemon: one task that owns the [`Table`] and does what it says. It waits for nothing but its channels: deployments are made by
//! [`crate::execute`], events are sent by [`protocol::daemon::outbox`], commands are received by [`protocol::daemon::link`].

use std::time::Instant;

use protocol::bus::{EventSender, Reply};
use protocol::daemon::outbox::Outbox;
use protocol::event::Pong;
use protocol::refusals::RefusalLog;
use protocol::{AttemptId, Command, Envelope, Event, Name};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::field::display;
use tracing::{error, info};

use crate::clock;
use crate::execute::{Context, Executors, Order};
use crate::facts;
use crate::sweep::Lost;
use crate::table::{Effect, Report, Table};

/// The daemon.
#[derive(Debug)]
pub struct Daemon {
    table: Table,
    executors: Executors,
    outbox: Outbox,
    /// Refusals of one controller for one reason are logged once and counted.
    refusals: RefusalLog<(Name, String)>,
    reports: mpsc::UnboundedReceiver<(AttemptId, Report)>,
}

impl Daemon {
    /// A daemon that runs nothing, and knows what its dead self left.
    #[must_use]
    pub fn new(context: Context, lost: Vec<Lost>, sender: watch::Receiver<EventSender>) -> Self {
        let (out, reports) = mpsc::unbounded_channel();
        let mut table = Table::default();
        for (attempt, reply, last_word) in lost {
            table.remember(attempt, reply, last_word);
        }
        Self {
            table,
            executors: Executors::new(context, out),
            outbox: Outbox::new(sender),
            refusals: RefusalLog::default(),
            reports,
        }
    }

    /// Serves until it is told to end; then ends what runs, says so, and returns.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Envelope<Command>>, shutdown: CancellationToken) {
        loop {
            let lease = self.table.deadline();
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.refusals.tick() => {}
                Some(command) = commands.recv() => self.command(command),
                Some((attempt, report)) = self.reports.recv() => self.report(attempt, report),
                () = sleep_until(lease.unwrap_or_else(Instant::now).into()), if lease.is_some() => {
                    let effects = self.table.lease_over(Instant::now());
                    self.obey(effects);
                }
            }
        }
        self.end().await;
    }

    async fn end(mut self) {
        let effects = self.table.shut_down();
        self.obey(effects);
        while self.table.is_busy() {
            // Every executor ends within its deadlines, and its last report always comes.
            let Some((attempt, report)) = self.reports.recv().await else {
                break;
            };
            self.report(attempt, report);
        }
        self.outbox.close().await;
    }

    fn command(&mut self, command: Envelope<Command>) {
        log(&command);
        let effects = self.table.command(command, Instant::now());
        self.obey(effects);
    }

    fn report(&mut self, attempt: AttemptId, report: Report) {
        match self.table.report(attempt, report) {
            Ok(effects) => self.obey(effects),
            Err(fault) => error!(%attempt, %fault, "fault of the runner"),
        }
    }

    fn obey(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Say(to, event) => self.say(to, *event),
                Effect::Pong(to) => self.outbox.say_now(
                    to,
                    Event::Pong(Pong {
                        clock_ns: clock::now_ns(),
                    }),
                ),
                Effect::Describe(to, describe) => {
                    let (host, queue) = (self.executors.host().clone(), self.outbox.queue());
                    tokio::spawn(async move {
                        let facts = facts::facts(&host, &describe.platforms).await;
                        let _ = queue.send((to, Event::Facts(Box::new(facts))));
                    });
                }
                Effect::Start(reply, run) => self.start(&reply, *run),
                Effect::Edge(attempt) => self.executors.edge(attempt),
                Effect::End(attempt, why) => {
                    info!(%attempt, ?why, "ending");
                    self.executors.end(attempt, why);
                }
            }
        }
    }

    fn start(&mut self, reply: &Reply, run: protocol::command::Run) {
        let Some(attempt) = reply.attempt else { return };
        self.executors.start(Order {
            attempt,
            controller: reply.controller.clone(),
            epoch: reply.epoch,
            run,
        });
    }

    fn say(&mut self, to: Reply, event: Event) {
        let attempt = to.attempt.map(display);
        match &event {
            Event::Samples(_) => {}
            Event::Failed(failed) => info!(attempt, stage = ?failed.stage, "FAILED: {}", failed.why),
            Event::Refused(refused) => {
                let text = format!("REFUSED to controller {}: {}", to.controller, refused.why);
                self.refusals.note((to.controller.clone(), refused.why.clone()), text);
            }
            other => info!(attempt, "{}", other.word()),
        }
        self.outbox.say(to, event);
    }
}

fn log(command: &Envelope<Command>) {
    let (controller, attempt) = (&command.controller, command.attempt.map(display));
    match &command.body {
        Command::Run(run) => info!(%controller, attempt, cell = run.trial.cell, block = run.trial.block, "RUN"),
        Command::Stop(stop) => info!(%controller, attempt, reason = ?stop.reason, "STOP"),
        Command::Describe(_) => info!(%controller, "DESCRIBE"),
        Command::Ping(_) | Command::Renew(_) | Command::Edge(_) | Command::Prepare(_) | Command::Start(_) => {
            tracing::debug!(%controller, "{}", command.body.word())
        }
    }
}
