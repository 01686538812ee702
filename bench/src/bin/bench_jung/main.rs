//! Measures Jung on this machine: the thesis' load against native services, next to its tables 3, 4 and 5.
//!
//! ```text
//! cargo build --release -p workloads && cargo run --release -p bench --bin bench_jung
//! cargo run --release -p bench --bin bench_jung -- --brokers 127.0.0.1:9092 --trace
//! ```
//! Without `--brokers` it starts the project's own broker in this process. It measures one load once, on one machine; use the
//! controller for an experiment.

mod figures;
mod platform;
mod spans;
mod usage;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use controller::trial::workload::truth;
use loader::jung::AcceptedCommands;
use loader::{Control, EngineSpec, Outcome, Part, build_engine};
use protocol::load::{
    HttpRequests, JungMix, JungSpec, LoadKind, LoadSpec, TargetSpec, Think, Timing, UserRequests, UsersLoad, Wait,
};
use workloads::jung::seed::{Amounts, seed};

use platform::Platform;
use usage::Meter;

/// Measures Jung on this machine.
#[derive(Debug, Parser)]
struct Options {
    /// Kafka brokers; by default, the project's own broker is started
    #[arg(long)]
    brokers: Option<String>,
    /// The program with the services
    #[arg(long, default_value = "target/release/workload")]
    workload: PathBuf,
    /// Users, devices of each, rules of each device
    #[arg(long, num_args = 3, default_values_t = [30, 30, 1], value_names = ["USERS", "DEVICES", "RULES"])]
    size: Vec<u32>,
    /// Show where the time of each task goes; tracing has a cost of its own
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
        "created {users} users x {devices} devices x {rules} rules in {:.2} s\n",
        took.as_secs_f64()
    );

    let meter = Meter::start(platform.pids());
    let accepted = AcceptedCommands::default();
    let load = users_load(users);
    let target = TargetSpec::Jung(JungSpec {
        devices,
        mix: JungMix::TABLE_2,
    });
    let spec = EngineSpec {
        load: &load,
        part: Part::WHOLE,
        seed: 1,
        target: &target,
        address: platform.gateway,
    };
    // The meter runs on the other threads meanwhile.
    let outcome: Outcome = tokio::task::block_in_place(|| build_engine(spec, &accepted)?.run(&Control::new()))?;
    let usage = meter.stop().await;
    let window = Duration::from_nanos(outcome.window.end - outcome.window.start);
    print!("{}\n{}", usage.tables(window), figures::tables(&outcome)?);
    println!(
        "\n{}",
        figures::verdict(&truth::check(platform.admin, &accepted.all()).await)
    );
    let spans = platform.stop().await?;
    if options.trace {
        print!("\n{}", spans.table());
    }
    Ok(())
}

/// Each user sends its list of the thesis' table 2 in order, the next request when the last is answered.
fn users_load(users: u32) -> LoadSpec {
    let kind = LoadKind::Users(UsersLoad {
        users,
        timing: Timing {
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(3600),
            timeout: Duration::from_secs(60),
        },
        requests: Some(UserRequests {
            each: JungMix::TABLE_2.total(),
            warm_up: 0,
        }),
        think: Think::Constant(Duration::ZERO),
        ramp_up: Duration::ZERO,
        keep_alive: true,
        cpus: Vec::new(),
    });
    LoadSpec {
        kind,
        wait: Wait::Sleep,
        keep_awake: true,
        http: HttpRequests::default(),
    }
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
