//! From a checked configuration to the exit code.

use std::time::Duration;

use anyhow::Context as _;
use deploy::Host;
use protocol::bus::BusError;
use protocol::daemon::connection;
use protocol::spec::CpuSet;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::cli::Exit;
use crate::config::Config;
use crate::crash_journal::CrashJournal;
use crate::daemon::Daemon;
use crate::execute::Context;
use crate::services::Catalog;
use crate::{facts, lock, sweep};

/// The number of commands that are queued for the daemon; more wait in Kafka.
const COMMANDS: usize = 64;

/// Serves until the first SIGTERM or Ctrl-C; a second one ends it immediately. `free_cpus` are for services whose RUN names no CPUs.
///
/// # Errors
/// An error that has no exit code of its own.
pub async fn serve(config: Config, free_cpus: Option<CpuSet>, wait: Option<Duration>) -> anyhow::Result<Exit> {
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    tokio::spawn(signals(first.clone(), second.clone()));
    tokio::select! {
        exit = serve_until(config, free_cpus, wait, first) => exit,
        () = second.cancelled() => Ok(Exit::Interrupted),
    }
}

async fn serve_until(
    config: Config,
    free_cpus: Option<CpuSet>,
    wait: Option<Duration>,
    shutdown: CancellationToken,
) -> anyhow::Result<Exit> {
    let _lock = match lock::lock(&config.state, &config.name) {
        Ok(lock) => lock,
        Err(error) => {
            error!("{error}");
            return Ok(Exit::Unmet);
        }
    };
    let host = host(&config);
    let journal = CrashJournal::open(&config.state)?;
    let left = sweep::sweep(&host, &journal).await;
    let crashed = sweep::crashed_attempts(&journal, &host, &left)?;
    let connected = tokio::select! {
        connected = connection::connect(&config.bus, &config.name, wait) => connected,
        () = shutdown.cancelled() => return Ok(Exit::Ok),
    };
    let (sender, receiver) = match connected {
        Ok(ends) => ends,
        Err(error) => {
            error!("{error}");
            return Ok(exit_of(&error));
        }
    };
    info!(
        name = %config.name,
        address = %config.address,
        brokers = config.bus.brokers,
        state = %config.state.display(),
        signed = config.bus.key.is_some(),
        "serving"
    );
    let (sender, connection) = watch::channel(sender);
    let (commands_tx, commands) = mpsc::channel(COMMANDS);
    tokio::spawn(connection::receive_commands(
        config.bus,
        config.name,
        receiver,
        sender,
        commands_tx,
    ));
    let page_bytes = facts::page_bytes();
    let catalog = Catalog::new(config.services, config.allow, host.workload.clone());
    let context = Context {
        host,
        programs: config.programs,
        // Where a RUN names no CPUs, the ceiling is what they get.
        free_cpus: catalog.allow().cpus.clone().or(free_cpus),
        catalog,
        journal,
        page_bytes,
        sampler: config.sampler,
    };
    Daemon::new(context, crashed, connection).run(commands, shutdown).await;
    info!("shut down");
    Ok(Exit::Ok)
}

/// The host, for drivers.
#[must_use]
pub fn host(config: &Config) -> Host {
    if !config.workload.is_file() {
        warn!(
            "the workload program {} does not exist: set `--workload` or the key `workload`",
            config.workload.display()
        );
    }
    Host {
        runner: config.name.clone(),
        address: config.address,
        workload: config.workload.clone(),
        state: config.state.clone(),
    }
}

fn exit_of(error: &BusError) -> Exit {
    match error {
        BusError::Options { .. } => Exit::Config,
        _ => Exit::Broker,
    }
}

async fn signals(first: CancellationToken, second: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    info!("{}: shutting down; repeat to end immediately", next().await);
    first.cancel();
    warn!("{}: ending immediately", next().await);
    second.cancel();
    Ok(())
}
