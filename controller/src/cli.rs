//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::Overrides;
use crate::exit::Exit;

/// Compare ways to run a service: plan trials, have runners deploy them, fire the load, store and analyse what was measured.
///
/// Without a command it runs the experiment, like `controller run`.
#[derive(Clone, Debug, Parser)]
#[command(name = "controller", version, max_term_width = 110, after_help = after_help())]
#[command(args_conflicts_with_subcommands = false, infer_subcommands = false)]
pub struct Cli {
    /// What to do; `run` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// For every command.
    #[command(flatten)]
    pub common: Common,
    /// For `run`.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the experiment (what happens without a command, too).
    Run(RunArgs),
    /// Say everything that is wrong with an experiment file, and run nothing.
    Check(CheckArgs),
    /// Print the trials in their order and how long they will take, and run nothing.
    Plan(FileArgs),
    /// Make the reports of a run again out of its raw data, offline.
    Report(ReportArgs),
    /// Say what differed between two runs: what they were run with, and the medians with their intervals.
    Diff(DiffArgs),
    /// Measure how long a command to the runner and its answer take.
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
    /// What to log, e.g. `debug`, or `info,loader=trace`.
    #[arg(long, global = true, value_name = "FILTER", env = "JUNG_LOG", default_value = "info")]
    pub log: String,
    /// The folder of all results, instead of the file's.
    #[arg(long, global = true, value_name = "DIR", env = "JUNG_RESULTS")]
    pub results: Option<String>,
    /// `embedded` or `host:port,...`, instead of the file's.
    #[arg(long, global = true, value_name = "BROKERS", env = "JUNG_BROKERS")]
    pub brokers: Option<String>,
    /// The host whose runner deploys, instead of the file's.
    #[arg(long, global = true, value_name = "HOST", env = "JUNG_HOST")]
    pub host: Option<String>,
    /// The experiment's name, instead of the file's.
    #[arg(long, global = true, value_name = "NAME")]
    pub name: Option<String>,
    /// The number of blocks, instead of the file's.
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true)]
    pub iterations: Option<i64>,
    /// The seed of the order of trials, instead of the file's.
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<i64>,
}

/// Options of `run`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of run")]
pub struct RunArgs {
    /// Go on with a run that was interrupted: its name or its folder.
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Only print the plan.
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of commands that only look at an experiment file.
#[derive(Clone, Debug, Default, Args)]
pub struct FileArgs {
    /// The experiment file; stands in front of --config.
    pub file: Option<PathBuf>,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Options of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The file, and how the answer looks.
    #[command(flatten)]
    pub file: FileArgs,
    /// Ask the runner, too, whether its host is what [host] and [band] require, and which platforms can be used there.
    #[arg(long)]
    pub ask_host: bool,
}

/// Options of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// The run's folder, e.g. results/first-look/20261122T020102Z.
    pub run: PathBuf,
}

/// Options of `diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// The folder of a run.
    pub one: PathBuf,
    /// The folder of another.
    pub other: PathBuf,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Options of `ping`.
#[derive(Clone, Debug, Args)]
pub struct PingArgs {
    /// How many round trips.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
}

impl Cli {
    /// The command, with `run` where none was said. Options of `run` may stand before and after the word.
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
    /// What stands in front of the file's values.
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
    /// The experiment file that is meant.
    #[must_use]
    pub fn path<'a>(&'a self, common: &'a Common) -> &'a Path {
        self.file.as_deref().unwrap_or(&common.config)
    }
}

fn after_help() -> String {
    format!(
        "Examples:
  controller                                      run experiments.toml
  controller check experiments/czipri-tcp.toml    what is wrong with this file?
  controller plan --iterations 2                  what would be run, and for how long?
  controller --config lab.toml --brokers lab-1:9092 --host lab-2
  controller --resume results/first-look/20261122T022126Z
  controller diff results/x/20261121T220000Z results/x/20261122T220000Z
  controller ping --host lab-2                    is the runner there, and how fast does it answer?

{}

Every key of the experiment file: docs/experiments.md",
        Exit::table()
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
    fn run_is_what_happens_without_a_word() {
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
