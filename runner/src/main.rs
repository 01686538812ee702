//! The runner: parse, load, serve, exit code.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use protocol::files::{self, FileError};
use protocol::toml::problems_text;
use runner::cli::{Cli, Command, Exit, Settings};
use runner::config::Config;
use runner::services::Catalog;
use runner::{doctor, limits, serve};
use tokio::runtime::Runtime;

/// How long tasks may take to drop at the end. They only kill what they own, which is quick.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    let done = match &cli.command {
        Some(Command::Check(settings)) => load(settings).map(|config| check(&config, settings.config.as_deref())),
        None => load(&cli.settings).map(|config| run(config, cli.wait)),
    };
    let exit = done.unwrap_or_else(|problems| {
        eprint!("{problems}");
        Ok(Exit::Config)
    });
    let exit = exit.unwrap_or_else(|error| {
        eprintln!("runner: {error:#}");
        Exit::Internal
    });
    exit.into()
}

fn usage(error: &clap::Error) -> Exit {
    // stdout may be closed.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Ok }
}

/// The configuration, or its problems as text.
fn load(settings: &Settings) -> Result<Config, String> {
    let environment =
        std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let file = settings.config.as_deref();
    Config::load(file, environment, &settings.flags())
        .map_err(|problems| problems_text(file.unwrap_or(Path::new("the configuration")), &problems))
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

fn check(config: &Config, file: Option<&Path>) -> anyhow::Result<Exit> {
    if let Some(file) = file
        && let Err(error @ FileError::Empty) = files::check(file)
    {
        println!("{}: {error}: every key has its default", file.display());
    }
    println!("the configuration is valid");
    let facts = Runtime::new()?.block_on(doctor::probe_all(&serve::host(config)));
    print!("{}", doctor::render(&facts));
    let catalog = Catalog::new(config.services.clone(), config.allow.clone(), config.workload.clone());
    print!("{}", doctor::render_services(&catalog));
    Ok(Exit::Ok)
}
