//! The command line and the exit codes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use protocol::toml::parse_seconds;

use crate::config::Flags;

/// The daemon on a target host: deploys services, samples their resource usage and removes them.
///
/// It receives commands from a controller over Kafka. It may be started before the broker, and reconnects when the broker restarts. On SIGTERM or
/// Ctrl-C it stops all services and removes everything it created. After a crash, its next start does so.
#[derive(Debug, Parser)]
#[command(name = "runner", version, after_help = HELP, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
    /// Seconds to wait for a Kafka broker at the start; 0: try once [default: forever]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub wait: Option<Duration>,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the configuration and report which platforms can be used here, with remedies. Starts nothing.
    Check(Settings),
}

/// The settings. These flags override JUNG_RUNNER__KEY in the environment, which overrides the configuration file.
#[derive(Debug, Args)]
pub struct Settings {
    /// Configuration file; `runner.example.toml` documents every key
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of this host, as controllers use it [default: the host name]
    #[arg(long)]
    pub name: Option<String>,
    /// Address at which the controller reaches this host [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub address: Option<String>,
    /// Kafka brokers, separated by commas [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// Kafka topic prefix; must be the controller's [default: jung.]
    #[arg(long)]
    pub prefix: Option<String>,
    /// Folder of the crash journal, logs and images [default: /var/lib/jung for root, else ~/.local/state/jung]
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<String>,
    /// Statically linked workload program [default: `workload` next to this program, else on the PATH]
    #[arg(long, value_name = "FILE")]
    pub workload: Option<String>,
    /// Folder of the descriptions of services [default: `services` of the repository in which this program was built]
    #[arg(long, value_name = "FOLDER")]
    pub services: Option<String>,
}

impl Settings {
    /// The keys that the flags set.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let all = [
            ("name", &self.name),
            ("address", &self.address),
            ("brokers", &self.brokers),
            ("prefix", &self.prefix),
            ("state", &self.state),
            ("workload", &self.workload),
            ("services", &self.services),
        ];
        Flags(
            all.into_iter()
                .filter_map(|(key, value)| Some((key, value.clone()?)))
                .collect(),
        )
    }
}

/// The exit codes, shown in `--help`; each has the value and the meaning that it has in `controller` and `loader`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Graceful shutdown with nothing left behind; or `check` found no problem.
    Ok = 0,
    /// An internal error.
    Internal = 1,
    /// The command line is invalid.
    Usage = 2,
    /// The configuration is invalid; every problem was printed.
    Config = 3,
    /// No Kafka broker replied within `--wait`.
    Broker = 4,
    /// Something that the runner needs is missing, in use or not permitted: its state folder or its name.
    Unmet = 6,
    /// Ended immediately by a second signal, without waiting for services to end.
    Interrupted = 130,
}

/// [`Exit`] for `--help`.
const HELP: &str = "\
Exit codes:
    0  graceful shutdown on SIGTERM or Ctrl-C, nothing is left behind
    1  internal error
    2  invalid command line
    3  invalid configuration; every problem was printed
    4  no Kafka broker replied within --wait
    6  the state folder or the name is in use or not permitted
  130  ended immediately by a second Ctrl-C or SIGTERM; the next start removes what is left";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn help_lists_the_exit_codes() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        for code in ["  0  ", "  3  ", "  4  ", "  6  ", "130  "] {
            assert!(help.contains(code), "{code} in {help}");
        }
    }

    #[test]
    fn flags_become_keys() {
        let cli = Cli::try_parse_from(["runner", "--name", "a", "--wait", "0"]).unwrap();
        assert_eq!(cli.settings.flags().0, [("name", "a".to_owned())].into());
        assert_eq!(cli.wait, Some(Duration::ZERO));
        let minutes = Cli::try_parse_from(["runner", "--wait", "1m30s"]).unwrap();
        assert_eq!(minutes.wait, Some(Duration::from_secs(90)));
        let check = Cli::try_parse_from(["runner", "check", "--config", "x.toml"]).unwrap();
        let Some(Command::Check(settings)) = check.command else {
            panic!("not check")
        };
        assert_eq!(settings.config, Some("x.toml".into()));
        assert!(Cli::try_parse_from(["runner", "--wait", "-1"]).is_err());
    }
}
