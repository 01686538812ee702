//! The runner: parse, load, serve, exit code.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use protocol::exit::Exit;
use protocol::files::{self, FileError};
use protocol::toml::{Problem, problems_json, problems_text};
use runner::cli::{CheckArgs, Cli, Command, Settings};
use runner::config::Config;
use runner::services::Catalog;
use runner::{doctor, limits, serve};
use tokio::runtime::Runtime;

/// How long tasks may take to drop at the end. They only kill what they own, which is quick.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> Exit {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Check(args)) => check(args),
        None => match load(&cli.settings) {
            Ok(config) => run(config, cli.wait),
            Err(problems) => Ok(invalid(&cli.settings, &problems)),
        },
    };
    done.unwrap_or_else(|error| {
        eprintln!("runner: {error:#}");
        Exit::Internal
    })
}

fn load(settings: &Settings) -> Result<Config, Vec<Problem>> {
    let environment =
        std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    Config::load(settings.config.as_deref(), environment, &settings.flags())
}

/// What problems call the configuration.
fn name(settings: &Settings) -> &Path {
    settings.config.as_deref().unwrap_or(Path::new("the configuration"))
}

fn invalid(settings: &Settings, problems: &[Problem]) -> Exit {
    eprint!("{}", problems_text(name(settings), problems));
    Exit::Config
}

fn run(config: Config, wait: Option<Duration>) -> anyhow::Result<Exit> {
    tracing_subscriber::fmt()
        .with_env_filter(&config.log)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    if let Err(error) = limits::raise_open_files() {
        tracing::warn!("{error}");
    }
    // Before any thread is started, since threads inherit the affinity.
    let free_cpus = match &config.cpus {
        Some(cpus) => Some(limits::pin_to(cpus)?),
        None => None,
    };
    let runtime = Runtime::new()?;
    let exit = runtime.block_on(serve::serve(config, free_cpus, wait));
    runtime.shutdown_timeout(DROP_TIMEOUT);
    exit
}

/// Checks the configuration and, if it is valid, probes this host.
fn check(CheckArgs { settings, json }: &CheckArgs) -> anyhow::Result<Exit> {
    let config = load(settings);
    let facts = match &config {
        Ok(config) => Some(Runtime::new()?.block_on(doctor::probe_all(&serve::host(config)))),
        Err(_) => None,
    };
    if *json {
        let problems = config.as_ref().err().map_or(&[][..], Vec::as_slice);
        let mut value = problems_json(name(settings), problems);
        if let Some(facts) = &facts {
            value["host"] = serde_json::to_value(facts)?;
        }
        println!("{value:#}");
        return Ok(config.map_or(Exit::Config, |_| Exit::Ok));
    }
    if let Err(problems) = &config {
        return Ok(invalid(settings, problems));
    }
    if let Some(file) = &settings.config
        && let Err(error @ FileError::Empty) = files::check(file)
    {
        println!("{}: {error}: every key has its default", file.display());
    }
    println!("the configuration is valid");
    print!("{}", facts.iter().map(doctor::render).collect::<String>());
    if let Ok(config) = config {
        let catalog = Catalog::new(config.services, config.allow, config.workload);
        print!("{}", doctor::render_services(&catalog));
    }
    Ok(Exit::Ok)
}
