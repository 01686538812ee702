//! Serving as a loader.

use std::time::Duration;

use protocol::bus::{BusConfig, BusError};
use protocol::sign::SigningKey;

use crate::cli::{Common, LoaderArgs};
use crate::exit::Exit;
use crate::loaders::daemon::{LoaderError, Options, serve};
use crate::shutdown::on_signals_saying;

/// What the command line asks of a loader.
///
/// # Errors
/// What is wrong with it, with the remedy.
pub fn loader_options(common: &Common, args: LoaderArgs) -> Result<Options, String> {
    let brokers = match common.brokers.as_deref() {
        None => return Err("option --brokers is missing: write e.g. --brokers lab-1:9092".to_owned()),
        Some("embedded") => {
            return Err("--brokers embedded: a loader has no broker; write the address that the controller's listens on, e.g. --brokers lab-1:9092".to_owned());
        }
        Some(brokers) => brokers.to_owned(),
    };
    let key = args
        .key_file
        .map(|path| SigningKey::read(&path).map_err(|error| format!("option --key-file {}: {error}", path.display())));
    Ok(Options {
        name: args.loader,
        bus: BusConfig {
            brokers,
            prefix: args.prefix,
            options: args.option.into_iter().collect(),
            key: key.transpose()?,
            ..BusConfig::default()
        },
        cpus: args.cpus,
        wait: args.wait.map(|seconds| Duration::from_secs(seconds.into())),
    })
}

/// Serves until the first Ctrl-C or SIGTERM.
///
/// # Errors
/// See [`LoaderError`].
pub async fn loader(options: Options) -> Result<(), LoaderError> {
    let shutdown = on_signals_saying("the load is ended; once more ends at once").map_err(LoaderError::Signals)?;
    serve(options, shutdown).await
}

/// The exit code of an error.
#[must_use]
pub const fn exit_of_loader(error: &LoaderError) -> Exit {
    match error {
        LoaderError::NameTaken(_) => Exit::Unmet,
        LoaderError::Signals(_) => Exit::Internal,
        LoaderError::Bus(BusError::Options { .. }) => Exit::Usage,
        LoaderError::Bus(_) => Exit::Broker,
    }
}
