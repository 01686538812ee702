//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::Flags;
use crate::exit;

/// The daemon on a target host: deploys services, samples their CPU and memory, and takes them away without a trace.
///
/// It takes its orders from a controller over Kafka. It may be started before or after the broker, and outlives its restarts. On SIGTERM
/// or Ctrl-C it ends what runs and leaves nothing; after a crash its next start removes what the crash left.
#[derive(Debug, Parser)]
#[command(name = "runner", version, after_help = exit::HELP, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do, if not to serve.
    #[command(subcommand)]
    pub command: Option<What>,
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
    /// Seconds to wait for a broker at the start; 0: try once. Default: for ever.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
}

/// What to do, if not to serve.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Says what is wrong with the configuration and which platforms can be used here, with remedies. Starts nothing.
    Check(Settings),
}

/// Where the settings come from: a file, then JUNG_RUNNER__KEY in the environment, then these flags.
#[derive(Debug, Args)]
pub struct Settings {
    /// The configuration file; `runner.example.toml` shows every key.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The host's name towards controllers [default: the host name]
    #[arg(long)]
    pub name: Option<String>,
    /// The address by which the controller reaches this host [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub address: Option<String>,
    /// The Kafka brokers, separated by commas [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// Stands in front of every topic's name; the same as the controller's [default: jung.]
    #[arg(long)]
    pub prefix: Option<String>,
    /// Where the ledger, logs and images are
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<String>,
    /// The static workload program [default: beside this program, else on the PATH]
    #[arg(long, value_name = "FILE")]
    pub workload: Option<String>,
}

impl Settings {
    /// What the flags set.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let all = [
            ("name", &self.name),
            ("address", &self.address),
            ("brokers", &self.brokers),
            ("prefix", &self.prefix),
            ("state", &self.state),
            ("workload", &self.workload),
        ];
        Flags(
            all.into_iter()
                .filter_map(|(key, value)| Some((key, value.clone()?)))
                .collect(),
        )
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<u32>()
        .map_err(|_| "write a whole number of seconds".to_owned())?;
    Ok(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_tells_its_exit_codes() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        for code in ["  0  ", "  3  ", "  4  ", "  5  ", "130  "] {
            assert!(help.contains(code), "{code} in {help}");
        }
    }

    #[test]
    fn flags_become_keys() {
        let cli = Cli::try_parse_from(["runner", "--name", "a", "--wait", "0"]).unwrap();
        assert_eq!(cli.settings.flags().0, [("name", "a".to_owned())].into());
        assert_eq!(cli.wait, Some(Duration::ZERO));
        let check = Cli::try_parse_from(["runner", "check", "--config", "x.toml"]).unwrap();
        let Some(What::Check(settings)) = check.command else {
            panic!("not check")
        };
        assert_eq!(settings.config, Some("x.toml".into()));
        assert!(Cli::try_parse_from(["runner", "--wait", "-1"]).is_err());
    }
}
