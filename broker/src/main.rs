//! The broker as a program of its own.

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
    after_help = "Exit codes: 0 stopped by a signal, 1 could not start (the reason is on stderr).\n\
    Log lines go to stderr; RUST_LOG=debug says more. Once ready, one line 'listening on HOST:PORT' goes to stdout \
    per listener."
)]
struct Arguments {
    /// Address to listen on, with the address its clients are told to connect to if it differs; may be given
    /// several times. Port 0 picks a free port.
    #[arg(long, value_name = "BIND[=HOST:PORT]", default_value = "127.0.0.1:9092", value_parser = listener)]
    listen: Vec<Listener>,
    /// Folder for topics, offsets and groups.
    #[arg(long, default_value = "broker-data")]
    data: PathBuf,
    /// When acknowledged records are forced to the disk.
    #[arg(long, value_enum, default_value = "interval")]
    fsync: Fsync,
    /// Interval of `--fsync interval` in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    fsync_interval_ms: u64,
    /// Bytes kept per partition, 0 for no limit.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    retention_bytes: u64,
    /// Milliseconds for which records are kept, 0 for no limit.
    #[arg(long, value_name = "MS", default_value_t = 7 * 24 * 3600 * 1000)]
    retention_ms: u64,
    /// Bytes at which a partition starts a new file.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    segment_bytes: u64,
    /// Largest request in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_frame: usize,
    /// Partitions of topics that are created without saying how many.
    #[arg(long, value_name = "N", default_value_t = 1)]
    default_partitions: i32,
    /// Do not create topics that clients merely ask about.
    #[arg(long)]
    no_auto_create: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fsync {
    /// When the kernel likes.
    Never,
    /// Once per interval.
    Interval,
    /// Before each acknowledgement.
    Always,
}

fn listener(text: &str) -> Result<Listener, String> {
    let (bind, advertise) = match text.split_once('=') {
        Some((bind, advertise)) => (bind, Some(advertise.to_owned())),
        None => (text, None),
    };
    let bind: SocketAddr = bind
        .parse()
        .map_err(|_| format!("{bind} is not an address like 127.0.0.1:9092"))?;
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
    start_logging();
    match run(arguments.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("broker: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_logging() {
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
    signalled().await?;
    broker.stop().await;
    Ok(())
}

async fn signalled() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for SIGINT")?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
