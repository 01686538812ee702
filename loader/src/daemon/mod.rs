//! The daemon `loader`, which generates parts of loads.
//!
//! ```text
//!           Kafka ──commands──▶ Daemon ──events──▶ Outbox ──────▶ Kafka
//!                               │  ▲   owns the state               ▲
//!                prepare, start,│  │                                │
//!                         cancel▼  │reports                         │
//!                               Job ── the engine, on its threads   │
//!                                └──────────── chunks ──────────────┘
//! ```
//! * [`state`] — the attempt and the lease, pure; [`job`] — one load.

pub mod job;
pub mod state;

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

use protocol::bus::{BusConfig, BusError, CommandReceiver, EventSender, Reply, connect_runner};
use protocol::daemon::outbox::Outbox;
use protocol::event::Pong;
use protocol::spec::CpuSet;
use protocol::{AttemptId, Command, Envelope, Event, Name};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::field::display;
use tracing::{debug, info};

use self::job::{Job, JobContext};
use self::state::{Action, LoaderState, Report};
use crate::monotonic_ns;

/// Options of a loader.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name.
    pub name: Name,
    /// How to reach the brokers.
    pub bus: BusConfig,
    /// CPUs to pin the load generator's threads to; `None`: those of the experiment.
    pub cpus: Option<CpuSet>,
    /// How long to wait for a broker at start-up; `None`: no limit.
    pub wait: Option<Duration>,
}

/// Why a loader cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum LoaderError {
    /// The name is in use.
    #[error("another loader on this machine has the name {0}: stop it, or give this one another --as")]
    NameTaken(Name),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Signal handlers cannot be installed.
    #[error("cannot install signal handlers: {0}")]
    Signals(std::io::Error),
}

/// Serves until `shutdown` is cancelled, then ends the running load, reports that, and returns.
///
/// # Errors
/// See [`LoaderError`].
pub async fn serve(options: Options, shutdown: CancellationToken) -> Result<(), LoaderError> {
    let Options { name, bus, cpus, wait } = options;
    // An abstract socket leaves no file behind and vanishes with its process.
    let address = SocketAddr::from_abstract_name(format!("jung-loader-{name}"));
    let _lock = address
        .and_then(|address| UnixListener::bind_addr(&address))
        .map_err(|_| LoaderError::NameTaken(name.clone()))?;
    let (sender, commands) = tokio::select! {
        connected = connect_runner(&bus, &name, wait) => connected?,
        () = shutdown.cancelled() => return Ok(()),
    };
    info!(%name, brokers = bus.brokers, signed = bus.key.is_some(), "loader: serving");
    Daemon::new(sender, cpus).run(commands, shutdown).await;
    info!("loader: ended");
    Ok(())
}

#[derive(Debug)]
struct Daemon {
    state: LoaderState,
    job: Option<Job>,
    pinned: Option<CpuSet>,
    outbox: Outbox,
    sender: EventSender,
    reports_tx: mpsc::UnboundedSender<(AttemptId, Report)>,
    reports: mpsc::UnboundedReceiver<(AttemptId, Report)>,
}

impl Daemon {
    fn new(sender: EventSender, pinned: Option<CpuSet>) -> Self {
        let (reports_tx, reports) = mpsc::unbounded_channel();
        Self {
            state: LoaderState::default(),
            job: None,
            pinned,
            outbox: Outbox::new(sender.clone()),
            sender,
            reports_tx,
            reports,
        }
    }

    async fn run(mut self, mut commands: CommandReceiver, shutdown: CancellationToken) {
        loop {
            let lease = self.state.deadline();
            let actions = tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.outbox.tick() => continue,
                command = commands.recv() => {
                    log(&command);
                    self.state.on_command(command, Instant::now())
                }
                Some((attempt, report)) = self.reports.recv() => self.state.on_report(attempt, report),
                () = sleep_until(lease.unwrap_or_else(Instant::now).into()), if lease.is_some() => {
                    self.state.expire_lease(Instant::now())
                }
            };
            self.perform(actions);
        }
        let actions = self.state.shut_down();
        self.perform(actions);
        if let Some(job) = self.job.take() {
            job.end().await;
        }
        self.outbox.close().await;
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(to, event) => self.outbox.publish(to, *event),
                Action::Pong(to) => {
                    let clock_ns = monotonic_ns();
                    self.outbox.send_now(to, Event::Pong(Pong { clock_ns }));
                }
                Action::Describe(to) => {
                    let facts = crate::facts::read(self.pinned.clone());
                    self.outbox.publish(to, Event::Loader(Box::new(facts)));
                }
                Action::Prepare(reply, prepare) => self.prepare(reply, *prepare),
                Action::Start(start_ns) => self.start(start_ns),
                Action::Cancel => self.job.iter().for_each(Job::cancel),
            }
        }
    }

    fn prepare(&mut self, reply: Reply, prepare: protocol::load::Prepare) {
        let Some(id) = reply.attempt else { return };
        let context = JobContext {
            id,
            reply,
            reports: self.reports_tx.clone(),
            sender: self.sender.clone(),
        };
        self.job = Some(Job::start(context, prepare, self.pinned.clone(), self.job.take()));
    }

    /// Starts the load; fails it if the start time has passed, since its part would not be synchronous with the others.
    fn start(&mut self, start_ns: u64) {
        let (Some(job), now_ns) = (&self.job, monotonic_ns()) else {
            return;
        };
        if now_ns < start_ns {
            return job.start_at(start_ns);
        }
        job.cancel();
        let why = format!(
            "START arrived {:.1} ms after the common start time",
            (now_ns - start_ns) as f64 / 1e6
        );
        if let Some(id) = self.state.active() {
            let actions = self.state.on_report(id, Report::Failed(why));
            self.perform(actions);
        }
    }
}

fn log(command: &Envelope<Command>) {
    let (controller, attempt) = (&command.controller, command.attempt.map(display));
    match &command.body {
        Command::Prepare(prepare) => {
            let part = format!("{} of {}", prepare.part.index + 1, prepare.part.of);
            info!(%controller, attempt, cell = prepare.trial.cell, part, "PREPARE");
        }
        Command::Ping(_) | Command::Renew(_) => debug!(%controller, "{}", command.body.as_str()),
        body => info!(%controller, attempt, "{}", body.as_str()),
    }
}
