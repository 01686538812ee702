//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use protocol::exit::{Exit, ExitCodes};

use crate::config::Overrides;

/// Compare platforms for running a service: plan trials, deploy them through runners, generate load, store and analyze the results.
///
/// Without a command it runs the experiment, like `controller run`.
#[derive(Clone, Debug, Parser)]
#[command(name = "controller", version, max_term_width = 110, after_help = after_help())]
#[command(args_conflicts_with_subcommands = false, infer_subcommands = false)]
pub struct Cli {
    /// The command; `run` by default.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// Options of `run`.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the experiment (the default command).
    Run(RunArgs),
    /// Report every error in an experiment file without running it.
    Check(CheckArgs),
    /// Print the trials in order and the estimated duration without running them.
    Plan(FileArgs),
    /// Regenerate a run's report from its raw data, offline.
    Report(ReportArgs),
    /// Compare two runs: their configuration, and their medians with confidence intervals.
    Diff(DiffArgs),
    /// Measure the round-trip time of a command to the runner.
    Ping(PingArgs),
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// The experiment file.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "JUNG_CONFIG",
        default_value = "experiments.toml"
    )]
    pub config: PathBuf,
    /// Log filter, e.g. `debug`, or `info,loader=trace`.
    #[arg(long, global = true, value_name = "FILTER", env = "JUNG_LOG", default_value = "info")]
    pub log: String,
    /// The results directory; overrides the file.
    #[arg(long, global = true, value_name = "DIR", env = "JUNG_RESULTS")]
    pub results: Option<String>,
    /// Kafka brokers: `embedded` or `host:port,...`; overrides the file.
    #[arg(long, global = true, value_name = "BROKERS", env = "JUNG_BROKERS")]
    pub brokers: Option<String>,
    /// The host whose runner deploys the services; overrides the file.
    #[arg(long, global = true, value_name = "HOST", env = "JUNG_HOST")]
    pub host: Option<String>,
    /// The experiment's name; overrides the file.
    #[arg(long, global = true, value_name = "NAME")]
    pub name: Option<String>,
    /// The number of blocks; overrides the file.
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true)]
    pub iterations: Option<i64>,
    /// The seed of the trial order; overrides the file.
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<i64>,
}

/// Options of `run`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of run")]
pub struct RunArgs {
    /// Resume an interrupted run, by name or directory.
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Print the plan and exit.
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of commands that read an experiment file without running it.
#[derive(Clone, Debug, Default, Args)]
pub struct FileArgs {
    /// The experiment file; overrides --config.
    pub file: Option<PathBuf>,
    /// Print machine-readable JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The file and the output format.
    #[command(flatten)]
    pub file: FileArgs,
    /// Also ask the runner whether its host meets `[host]` and `[band]`, and which platforms it can run.
    #[arg(long)]
    pub ask_host: bool,
}

/// Options of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// The run's directory, e.g. results/first-look/20261122T020102Z.
    pub run: PathBuf,
}

/// Options of `diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// The directory of the first run.
    pub one: PathBuf,
    /// The directory of the second run.
    pub other: PathBuf,
    /// Print machine-readable JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `ping`.
#[derive(Clone, Debug, Args)]
pub struct PingArgs {
    /// The number of round trips.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
}

impl Cli {
    /// The command, `run` by default. Options of `run` are accepted before and after the subcommand.
    #[must_use]
    pub fn command(&self) -> Command {
        match self.command.clone() {
            None => Command::Run(self.run.clone()),
            Some(Command::Run(run)) => Command::Run(RunArgs {
                resume: run.resume.or_else(|| self.run.resume.clone()),
                dry_run: run.dry_run || self.run.dry_run,
            }),
            Some(other) => other,
        }
    }
}

impl Common {
    /// The values that override the file's.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides {
            name: self.name.clone(),
            results: self.results.clone(),
            brokers: self.brokers.clone(),
            host: self.host.clone(),
            iterations: self.iterations,
            seed: self.seed,
        }
    }
}

impl FileArgs {
    /// The path of the experiment file.
    #[must_use]
    pub fn path<'a>(&'a self, common: &'a Common) -> &'a Path {
        self.file.as_deref().unwrap_or(&common.config)
    }
}

/// The exit codes; `docs/experiments.md` has the same table.
pub const EXIT_CODES: ExitCodes<'_> = &[
    (Exit::Ok, "done"),
    (Exit::Internal, "internal error (a bug)"),
    (Exit::Usage, "invalid command line"),
    (Exit::Config, "invalid experiment file; every error was printed"),
    (
        Exit::Broker,
        "no Kafka broker could be reached, or the embedded one could not start",
    ),
    (
        Exit::Runner,
        "the runner or a loader did not answer, or refused the command",
    ),
    (Exit::Unmet, "a required platform is unavailable on the host"),
    (Exit::Results, "results could not be written (disk full, no permission)"),
    (Exit::Trials, "the run finished, but some trials have no valid attempt"),
    (Exit::Host, "the host does not meet [host] or [band]"),
    (
        Exit::Differ,
        "diff: the runs differ in configuration, or significantly in a metric",
    ),
    (
        Exit::Interrupted,
        "interrupted (Ctrl-C, SIGTERM); continue with --resume",
    ),
];

fn after_help() -> String {
    format!(
        "Examples:
  controller                                      run experiments.toml
  controller check experiments/czipri-tcp.toml    report the errors in this file
  controller plan --iterations 2                  which trials, and how long?
  controller --config lab.toml --brokers lab-1:9092 --host lab-2
  controller --resume results/first-look/20261122T022126Z
  controller diff results/x/20261121T220000Z results/x/20261122T220000Z
  controller ping --host lab-2                    does the runner answer, and how fast?

{}

Every key of the experiment file: docs/experiments.md",
        Exit::table(EXIT_CODES)
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as CommandFactory>::command().debug_assert();
    }

    #[test]
    fn the_reference_has_the_same_exit_codes() {
        assert!(EXIT_CODES.is_sorted_by_key(|(exit, _)| exit));
        let reference = include_str!("../../docs/experiments.md");
        for (exit, meaning) in EXIT_CODES {
            let row = format!("| {} | {meaning} |", exit.code());
            assert!(reference.contains(&row), "{row} is not in docs/experiments.md");
        }
    }

    #[test]
    fn run_is_the_default_command() {
        for words in [
            &["controller", "--dry-run", "--config", "x.toml"][..],
            &["controller", "run", "--dry-run", "--config", "x.toml"],
            &["controller", "--config", "x.toml", "--dry-run", "run"],
        ] {
            let cli = Cli::try_parse_from(words).unwrap();
            assert_eq!(cli.common.config, Path::new("x.toml"));
            assert!(matches!(cli.command(), Command::Run(run) if run.dry_run), "{words:?}");
        }
    }
}
