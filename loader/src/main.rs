//! Entry point of the loader: parse, set up logging, serve, exit code.

use std::io::IsTerminal;
use std::path::Path;

use clap::Parser;
use loader::cli::Cli;
use loader::daemon::{LoaderError, serve};
use loader::shutdown::on_signals;
use protocol::bus::BusError;
use protocol::exit::Exit;
use protocol::toml::problems_text;
use tracing_subscriber::EnvFilter;

fn main() -> Exit {
    run(Cli::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        Exit::Internal
    })
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    let filter = match EnvFilter::builder().parse(&cli.log) {
        Ok(filter) => filter,
        Err(error) => return Ok(usage(&format!("option --log: {error}; use e.g. --log info"))),
    };
    let options = match cli.options() {
        Ok(options) => options,
        Err(problems) => {
            return Ok(usage(
                problems_text(Path::new("the command line"), &problems).trim_end(),
            ));
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let result = tokio::runtime::Runtime::new()?.block_on(async {
        let shutdown =
            on_signals("cancelling the load; a second signal exits immediately").map_err(LoaderError::Signals)?;
        serve(options, shutdown).await
    });
    Ok(match result {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("error: {error}");
            exit_of(&error)
        }
    })
}

fn usage(why: &str) -> Exit {
    eprintln!("{why}");
    Exit::Usage
}

const fn exit_of(error: &LoaderError) -> Exit {
    match error {
        LoaderError::NameTaken(_) => Exit::Unmet,
        LoaderError::Signals(_) => Exit::Internal,
        LoaderError::Bus(BusError::Options { .. }) => Exit::Usage,
        LoaderError::Bus(_) => Exit::Broker,
    }
}
