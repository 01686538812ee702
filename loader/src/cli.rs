//! The command line and the exit codes of `loader`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use protocol::Name;
use protocol::bus::BusConfig;
use protocol::sign::SigningKey;
use protocol::spec::CpuSet;

use crate::daemon::Options;

/// Generate a part of every load that a controller splits over several machines.
#[derive(Clone, Debug, Parser)]
#[command(name = "loader", version, max_term_width = 110, after_help = HELP)]
pub struct Cli {
    /// Name of this loader, as listed in `loaders` in `[generator]` of the experiment file.
    #[arg(long = "as", value_name = "NAME", env = "JUNG_LOADER_NAME")]
    pub loader: Name,
    /// Kafka brokers, `host:port,...`.
    #[arg(long, value_name = "BROKERS", env = "JUNG_BROKERS")]
    pub brokers: String,
    /// Kafka topic prefix; the same as the experiment's.
    #[arg(long, value_name = "PREFIX", default_value = "jung.")]
    pub prefix: String,
    /// File with the key that signs messages; the same as the experiment's.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// CPUs to pin the load generator's threads to, one thread each; overrides the experiment; e.g. 0-1,3.
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<CpuSet>,
    /// librdkafka option, e.g. -X security.protocol=ssl; can be repeated.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    pub option: Vec<(String, String)>,
    /// Seconds to wait for a broker at start-up; 0: try once. Default: no limit.
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u32>,
    /// Log filter, e.g. `debug`, or `info,loader::http=trace`.
    #[arg(long, value_name = "FILTER", env = "JUNG_LOG", default_value = "info")]
    pub log: String,
}

impl Cli {
    /// The daemon's options.
    ///
    /// # Errors
    /// A message with the problem and the remedy.
    pub fn options(self) -> Result<Options, String> {
        if self.brokers == "embedded" {
            return Err("--brokers embedded: a loader has no embedded broker; use the address on which the controller's broker listens, e.g. --brokers lab-1:9092".to_owned());
        }
        let key = self.key_file.map(|path| {
            SigningKey::read(&path).map_err(|error| format!("option --key-file {}: {error}", path.display()))
        });
        Ok(Options {
            name: self.loader,
            bus: BusConfig {
                brokers: self.brokers,
                prefix: self.prefix,
                options: self.option.into_iter().collect(),
                key: key.transpose()?,
                ..BusConfig::default()
            },
            cpus: self.cpus,
            wait: self.wait.map(|seconds| Duration::from_secs(seconds.into())),
        })
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// The exit codes of `loader`, shown in `--help`; their values have the same meaning as in `controller`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Graceful shutdown by a signal.
    Ok = 0,
    /// Internal error.
    Internal = 1,
    /// Invalid command line.
    Usage = 2,
    /// No Kafka broker could be reached.
    Broker = 4,
    /// The name is in use by another loader on this machine.
    Unmet = 6,
    /// Immediate exit on a second signal.
    Interrupted = 130,
}

/// [`Exit`] for `--help`.
pub const HELP: &str = "\
Exit codes:
    0  graceful shutdown by SIGINT, SIGTERM or SIGHUP
    1  internal error (a bug)
    2  invalid command line
    4  no Kafka broker could be reached within --wait
    6  the name is in use by another loader on this machine
  130  immediate exit on a second signal";

impl Exit {
    /// The numeric value.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_embedded_broker_is_refused_with_the_remedy() {
        let cli = Cli::try_parse_from(["loader", "--as", "lab-3", "--brokers", "embedded"]).unwrap();
        assert!(cli.options().unwrap_err().contains("lab-1:9092"));
    }
}
