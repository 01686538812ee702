//! The daemon `loader`: a runner of the role *loader*, which deploys nothing and fires parts of loads.
//!
//! ```text
//!            link ──commands──▶ daemon ──effects──▶ outbox ──events──▶ Kafka
//!                               │  ▲  owns the desk                     ▲
//!                      prepare, begin, cancel                           │
//!                               ▼  reports                              │
//!                              work ── the load engine, on threads      │
//!                                └───── chunks ─────────────────────────┘
//! ```
//! * [`desk`] — which attempt is on and who may speak, pure; [`work`] — one load.

pub mod desk;
pub mod work;

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

use protocol::bus::{BusConfig, BusError, EventSender, Reply};
use protocol::daemon::link;
use protocol::daemon::outbox::Outbox;
use protocol::event::Pong;
use protocol::refusals::RefusalLog;
use protocol::spec::CpuSet;
use protocol::{AttemptId, Command, Envelope, Event, Name};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::field::display;
use tracing::{debug, info};

use self::desk::{Desk, Effect, Report};
use self::work::{Post, Work};
use crate::monotonic_ns;

/// Commands that wait for the daemon; more wait in Kafka.
const COMMANDS: usize = 64;

/// How a loader is told to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name towards controllers.
    pub name: Name,
    /// How to reach the broker.
    pub bus: BusConfig,
    /// The CPUs that its threads are pinned to; `None`: those that the experiment names.
    pub cpus: Option<CpuSet>,
    /// How long it waits for a broker; `None`: for ever.
    pub wait: Option<Duration>,
}

/// Why a loader cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum LoaderError {
    /// Another loader of this host has the name.
    #[error("another loader on this machine is named {0}: end it, or give this one another --as")]
    NameTaken(Name),
    /// The bus does not carry.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The system takes no signal handler.
    #[error("signals cannot be waited for: {0}")]
    Signals(std::io::Error),
}

/// Serves until it is told to end; then ends what it fires, says so, and returns.
///
/// # Errors
/// See [`LoaderError`].
pub async fn serve(options: Options, shutdown: CancellationToken) -> Result<(), LoaderError> {
    let Options { name, bus, cpus, wait } = options;
    // An abstract socket leaves no file behind and is gone with its process.
    let address = SocketAddr::from_abstract_name(format!("jung-loader-{name}"));
    let _lock = address
        .and_then(|address| UnixListener::bind_addr(&address))
        .map_err(|_| LoaderError::NameTaken(name.clone()))?;
    let (sender, receiver) = tokio::select! {
        connected = link::connect(&bus, &name, wait) => connected?,
        () = shutdown.cancelled() => return Ok(()),
    };
    info!(%name, brokers = bus.brokers, signed = bus.key.is_some(), "loader: serving");
    let (sender, connection) = watch::channel(sender);
    let (out, commands) = mpsc::channel(COMMANDS);
    tokio::spawn(link::listen(bus, name, receiver, sender, out));
    Daemon::new(connection, cpus).run(commands, shutdown).await;
    info!("loader: ended");
    Ok(())
}

#[derive(Debug)]
struct Daemon {
    desk: Desk,
    work: Option<Work>,
    pinned: Option<CpuSet>,
    outbox: Outbox,
    /// Refusals of one controller for one reason are logged once and counted.
    refusals: RefusalLog<(Name, String)>,
    sender: watch::Receiver<EventSender>,
    out: mpsc::UnboundedSender<(AttemptId, Report)>,
    reports: mpsc::UnboundedReceiver<(AttemptId, Report)>,
}

impl Daemon {
    fn new(sender: watch::Receiver<EventSender>, pinned: Option<CpuSet>) -> Self {
        let (out, reports) = mpsc::unbounded_channel();
        Self {
            desk: Desk::default(),
            work: None,
            pinned,
            outbox: Outbox::new(sender.clone()),
            refusals: RefusalLog::default(),
            sender,
            out,
            reports,
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Envelope<Command>>, shutdown: CancellationToken) {
        loop {
            let lease = self.desk.deadline();
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.refusals.tick() => {}
                Some(command) = commands.recv() => self.command(command),
                Some((attempt, report)) = self.reports.recv() => {
                    let effects = self.desk.report(attempt, report);
                    self.obey(effects);
                }
                () = sleep_until(lease.unwrap_or_else(Instant::now).into()), if lease.is_some() => {
                    let effects = self.desk.lease_over(Instant::now());
                    self.obey(effects);
                }
            }
        }
        let effects = self.desk.shut_down();
        self.obey(effects);
        if let Some(work) = self.work.take() {
            work.gone().await;
        }
        self.outbox.close().await;
    }

    fn command(&mut self, command: Envelope<Command>) {
        let (controller, attempt) = (&command.controller, command.attempt.map(display));
        match &command.body {
            Command::Prepare(prepare) => {
                let part = format!("{} of {}", prepare.part.index + 1, prepare.part.of);
                info!(%controller, attempt, cell = prepare.trial.cell, part, "PREPARE");
            }
            Command::Ping(_) | Command::Renew(_) => debug!(%controller, "{}", command.body.word()),
            body => info!(%controller, attempt, "{}", body.word()),
        }
        let effects = self.desk.command(command, Instant::now());
        self.obey(effects);
    }

    fn obey(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Say(to, event) => self.say(to, *event),
                Effect::Pong(to) => {
                    let clock_ns = monotonic_ns();
                    self.outbox.say_now(to, Event::Pong(Pong { clock_ns }));
                }
                Effect::Describe(to) => {
                    let facts = crate::facts::read(self.pinned.clone());
                    self.outbox.say(to, Event::Loader(Box::new(facts)));
                }
                Effect::Prepare(reply, prepare) => self.prepare(reply, *prepare),
                Effect::Start(start_ns) => self.begin(start_ns),
                Effect::End => self.work.iter().for_each(Work::cancel),
            }
        }
    }

    fn prepare(&mut self, reply: Reply, prepare: protocol::load::Prepare) {
        let Some(id) = reply.attempt else { return };
        let post = Post {
            reply,
            reports: self.out.clone(),
            sender: self.sender.clone(),
        };
        self.work = Some(Work::start(post, id, prepare, self.pinned.clone(), self.work.take()));
    }

    /// A load that would begin late would be another part of another load.
    fn begin(&mut self, start_ns: u64) {
        let (Some(work), now_ns) = (&self.work, monotonic_ns()) else {
            return;
        };
        if now_ns < start_ns {
            return work.begin(start_ns);
        }
        work.cancel();
        let why = format!(
            "START came {:.1} ms after the instant at which all begin",
            (now_ns - start_ns) as f64 / 1e6
        );
        if let Some(id) = self.desk.on() {
            let effects = self.desk.report(id, Report::Broken(why));
            self.obey(effects);
        }
    }

    fn say(&mut self, to: Reply, event: Event) {
        let attempt = to.attempt.map(display);
        match &event {
            Event::Progress(_) => {}
            Event::Failed(failed) => info!(attempt, stage = failed.stage.word(), "FAILED: {}", failed.why),
            Event::Refused(refused) => {
                let text = format!("REFUSED to controller {}: {}", to.controller, refused.why);
                self.refusals.note((to.controller.clone(), refused.why.clone()), text);
            }
            other => info!(attempt, "{}", other.word()),
        }
        self.outbox.say(to, event);
    }
}
