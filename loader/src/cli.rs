//! The command line of `loader`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use protocol::Name;
use protocol::bus::BusConfig;
use protocol::sign::SigningKey;
use protocol::spec::CpuSet;

use crate::daemon::Options;
use crate::exit::HELP;

/// Fire a part of every load that a controller splits over several machines.
#[derive(Clone, Debug, Parser)]
#[command(name = "loader", version, max_term_width = 110, after_help = HELP)]
pub struct Cli {
    /// Its name, as `loaders` in `[generator]` of the experiment file lists it.
    #[arg(long = "as", value_name = "NAME", env = "JUNG_LOADER_NAME")]
    pub loader: Name,
    /// The Kafka brokers, `host:port,...`.
    #[arg(long, value_name = "BROKERS", env = "JUNG_BROKERS")]
    pub brokers: String,
    /// Kafka topic prefix; the same as the experiment's.
    #[arg(long, value_name = "PREFIX", default_value = "jung.")]
    pub prefix: String,
    /// A file with the key that messages are signed with; the same as the experiment's.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The CPUs that its threads are pinned to, one thread each; overrides the experiment's; e.g. 0-1,3.
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<CpuSet>,
    /// An option of librdkafka, e.g. -X security.protocol=ssl; can be given several times.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    pub option: Vec<(String, String)>,
    /// Seconds to wait for a broker at the start; 0: try once. Default: for ever.
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u32>,
    /// What to log, e.g. `debug`, or `info,loader::http=trace`.
    #[arg(long, value_name = "FILTER", env = "JUNG_LOG", default_value = "info")]
    pub log: String,
}

impl Cli {
    /// Options of the daemon.
    ///
    /// # Errors
    /// What is wrong with the command line, with the remedy.
    pub fn options(self) -> Result<Options, String> {
        if self.brokers == "embedded" {
            return Err("--brokers embedded: a loader has no broker; give the address that the controller's listens on, e.g. --brokers lab-1:9092".to_owned());
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
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_embedded_broker_is_refused_with_the_remedy() {
        let cli = Cli::try_parse_from(["loader", "--as", "lab-3", "--brokers", "embedded"]).unwrap();
        assert!(cli.options().unwrap_err().contains("lab-1:9092"));
    }
}
