//! The load generator beside the tools of the field, in one run on the same server and cores; each line of issue 6's table met or not.
//!
//! `just bench-load` or `cargo run --release -p bench --bin bench_load`. It takes about twelve minutes on two quiet cores: the server is on
//! `--server-cpu`, every generator in turn on `--cpu`. Needs nginx, wrk, httperf, sockperf and Java with Maven for JMeter (`deploy/setup.sh bench`), oha
//! (which it installs into the cache itself), and root for the veth pair; what is missing is said, and its line is not met.

mod bare;
mod delayed;
mod engine;
mod lag;
mod latency;
mod memory;
mod packets;
mod path;
mod rows;
mod servers;
mod sockperf;
mod speed;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use rows::Rows;

/// The load generator beside the tools of the field.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    child: Option<Child>,
    #[command(flatten)]
    bench: Bench,
}

/// What is measured, and where.
#[derive(Debug, Clone, clap::Args)]
pub struct Bench {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4.0)]
    pub seconds: f64,
    /// How often generators take turns; the median counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// The core of the servers.
    #[arg(long, default_value_t = 0)]
    pub server_cpu: usize,
    /// The core of the generators.
    #[arg(long, default_value_t = 1)]
    pub cpu: usize,
    /// Requests of the test of memory.
    #[arg(long, default_value_t = 10_000_000)]
    pub requests: u64,
    /// Parts to run: keep-alive, connections, oha, jmeter, stall, delay, timer, lag, udp, memory; all without it.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
}

impl Bench {
    /// Whether a part is wanted.
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == part)
    }
}

/// What this program does as a process of its own.
#[derive(Debug, Subcommand)]
enum Child {
    /// The workload tcp.
    ServeTcp {
        /// Its port.
        port: u16,
    },
    /// The workload udp, on a free port that it prints.
    ServeUdp {
        /// Where it listens.
        address: std::net::IpAddr,
        /// Answer with the packet itself.
        #[arg(long)]
        echo: bool,
    },
    /// A server that answers so many microseconds after it read a request.
    ServeDelay {
        /// Its port.
        port: u16,
        /// Microseconds.
        micros: u64,
    },
    /// Keeps its CPU busy, for ever.
    Burn,
    /// As many requests as told, as fast as they go, their JTL, and the peak of memory.
    Memory {
        /// The server.
        address: std::net::SocketAddr,
        /// Requests.
        requests: u64,
        /// The core.
        cpu: usize,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    match options.child {
        Some(Child::ServeTcp { port }) => servers::serve_tcp(port)?,
        Some(Child::ServeUdp { address, echo }) => packets::serve(address, echo)?,
        Some(Child::ServeDelay { port, micros }) => delayed::serve(port, micros)?,
        Some(Child::Burn) => lag::burn(),
        Some(Child::Memory { address, requests, cpu }) => memory::child(address, requests, cpu)?,
        None => return bench(&options.bench),
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures, and adds lines.
type Part = fn(&Bench, &mut Rows) -> anyhow::Result<()>;

fn bench(bench: &Bench) -> anyhow::Result<ExitCode> {
    let mut rows = Rows::default();
    let parts: [(&str, Part); 10] = [
        ("keep-alive", speed::keep_alive),
        ("connections", speed::connections),
        ("oha", speed::oha),
        ("jmeter", speed::jmeter),
        ("stall", latency::stall),
        ("delay", latency::delay),
        ("timer", latency::timer),
        ("lag", lag::lag),
        ("udp", packets::both),
        ("memory", memory::flat),
    ];
    for (name, part) in parts.into_iter().filter(|(name, _)| bench.wants(name)) {
        eprintln!("== {name}");
        if let Err(error) = part(bench, &mut rows) {
            rows.broken(name, &format!("{error:#}"));
        }
    }
    println!("{rows}");
    Ok(if rows.all_met() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(8)
    })
}
