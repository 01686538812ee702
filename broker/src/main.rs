//! The broker as a standalone daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use broker::{Broker, Config, FsyncPolicy, Listener, Retention};
use clap::{Parser, ValueEnum};

/// A small single-node Kafka broker for one machine and for tests. For a lab of several machines use Apache Kafka
/// (deploy/kafka/kafka.sh).
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 stopped by SIGINT or SIGTERM, 1 failed to start (the reason is on stderr).\n\
    Logs go to stderr; set RUST_LOG=debug for more detail. Once ready, the broker prints 'listening on HOST:PORT' \
    to stdout for each parse_listener."
)]
struct Arguments {
    /// Address to listen on, optionally with the address to advertise to clients; repeatable. Port 0 picks a free
    /// port.
    #[arg(long, value_name = "BIND[=HOST:PORT]", default_value = "127.0.0.1:9092", value_parser = parse_listener)]
    listen: Vec<Listener>,
    /// Data directory for topics, offsets and consumer groups.
    #[arg(long, default_value = "broker-data")]
    data: PathBuf,
    /// When to fsync written records.
    #[arg(long, value_enum, default_value = "interval")]
    fsync: Fsync,
    /// Interval of `--fsync interval` in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    fsync_interval_ms: u64,
    /// Retention per partition in bytes; 0 for no limit.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    retention_bytes: u64,
    /// Retention time of records in milliseconds; 0 for no limit.
    #[arg(long, value_name = "MS", default_value_t = 7 * 24 * 3600 * 1000)]
    retention_ms: u64,
    /// Size in bytes at which a partition rolls to a new segment file.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    segment_bytes: u64,
    /// Maximum request size in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_frame: usize,
    /// Number of partitions of topics that are created without one.
    #[arg(long, value_name = "N", default_value_t = 1)]
    default_partitions: i32,
    /// Do not create topics on metadata requests.
    #[arg(long)]
    no_auto_create: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fsync {
    /// Leave it to the kernel.
    Never,
    /// Once per interval.
    Interval,
    /// Before every acknowledgement.
    Always,
}

fn parse_listener(text: &str) -> Result<Listener, String> {
    let (bind, advertise) = match text.split_once('=') {
        Some((bind, advertise)) => (bind, Some(advertise.to_owned())),
        None => (text, None),
    };
    let bind: SocketAddr = bind
        .parse()
        .map_err(|_| format!("invalid listen address {bind:?}: expected IP:PORT, for example 127.0.0.1:9092"))?;
    Ok(Listener { bind, advertise })
}

impl From<Arguments> for Config {
    fn from(arguments: Arguments) -> Self {
        Config {
            listeners: arguments.listen,
            data: arguments.data,
            fsync: match arguments.fsync {
                Fsync::Never => FsyncPolicy::Never,
                Fsync::Interval => FsyncPolicy::Interval(Duration::from_millis(arguments.fsync_interval_ms)),
                Fsync::Always => FsyncPolicy::Always,
            },
            retention: Retention {
                bytes: Some(arguments.retention_bytes).filter(|&bytes| bytes > 0),
                age: Some(arguments.retention_ms)
                    .filter(|&ms| ms > 0)
                    .map(Duration::from_millis),
            },
            segment_bytes: arguments.segment_bytes,
            max_frame: arguments.max_frame,
            default_partitions: arguments.default_partitions,
            auto_create: !arguments.no_auto_create,
            ..Config::default()
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    init_logging();
    match run(arguments.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn init_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .init();
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    let broker = Broker::start(config).await?;
    for address in broker.addresses() {
        println!("listening on {address}");
    }
    shutdown_signal().await?;
    broker.stop().await;
    Ok(())
}

async fn shutdown_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("failed to install the SIGTERM handler")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("failed to install the SIGINT handler")?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
