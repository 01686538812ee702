//! Jung on this machine, measured: the thesis' load against native services, next to its tables 3, 4 and 5.
//!
//! ```text
//! cargo build --release -p workloads && cargo run --release -p bench --bin bench_jung
//! cargo run --release -p bench --bin bench_jung -- --brokers 127.0.0.1:9092 --trace
//! ```
//! Without `--brokers` it starts the project's own broker in this process. It measures one load on one machine and
//! says so; trials that survive peer review are the controller's.

mod platform;
mod usage;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use workloads::jung::bench::dataset::TABLE_2;
use workloads::jung::bench::drive::{Load, drive};
use workloads::jung::bench::read_back::read_back;
use workloads::jung::bench::seed::{Amounts, seed};
use workloads::jung::bench::{figures, truth};

use platform::Platform;
use usage::Meter;

/// Measures Jung on this machine.
#[derive(Debug, Parser)]
struct Options {
    /// Kafka brokers; without them the project's own broker is started
    #[arg(long)]
    brokers: Option<String>,
    /// The binary with the services
    #[arg(long, default_value = "target/release/workload")]
    workload: PathBuf,
    /// Users, devices of each, rules of each device
    #[arg(long, num_args = 3, default_values_t = [30, 30, 1], value_names = ["USERS", "DEVICES", "RULES"])]
    size: Vec<u32>,
    /// Say where the time goes, which itself takes some
    #[arg(long)]
    trace: bool,
    /// Options for every service, e.g. `-- --concurrency 1`
    #[arg(last = true)]
    service: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    let own = match options.brokers {
        Some(_) => None,
        None => Some(start_broker(folder.path().join("broker")).await?),
    };
    let brokers = options
        .brokers
        .clone()
        .or(own.as_ref().map(|it| it.addresses()[0].to_string()));
    let brokers = brokers.context("no broker")?;
    let mut platform = Platform::start(
        &options.workload,
        &brokers,
        folder.path(),
        options.trace,
        &options.service,
    )?;
    platform.ready().await?;

    let [users, devices, rules] = options.size[..] else {
        anyhow::bail!("--size takes three numbers")
    };
    let took = seed(
        platform.gateway,
        Amounts {
            users,
            devices,
            rules,
            readings: 0,
        },
    )
    .await?;
    println!(
        "{users} users x {devices} devices x {rules} rules were there after {:.2} s\n",
        took.as_secs_f64()
    );

    let meter = Meter::start(platform.pids());
    let load = Load {
        users,
        devices,
        mix: TABLE_2,
        seed: 1,
        think: Duration::ZERO,
    };
    let outcome = drive(platform.gateway, load).await;
    let usage = meter.stop().await;
    print!(
        "{}\n{}{}",
        usage.tables(outcome.took),
        figures::tables(&outcome),
        figures::failures(&outcome, 10)
    );

    tokio::time::sleep(truth::RULE_DEADLINE + Duration::from_secs(1)).await;
    println!(
        "\n{}",
        figures::verdict(&read_back(platform.admin, &outcome.commands).await?)
    );
    let spans = platform.stop().await?;
    if options.trace {
        print!("\n{}", spans.table());
    }
    Ok(())
}

async fn start_broker(data: PathBuf) -> anyhow::Result<broker::Broker> {
    let listener = broker::Listener {
        bind: (Ipv4Addr::LOCALHOST, 0).into(),
        advertise: None,
    };
    let config = broker::Config {
        listeners: vec![listener],
        data,
        ..Default::default()
    };
    Ok(broker::Broker::start(config).await?)
}
