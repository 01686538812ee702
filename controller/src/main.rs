//! The command line of the controller.

use std::io::{IsTerminal, Write};
use std::path::Path;

use analysis::{diff, report};
use clap::Parser;
use controller::campaign::CampaignError;
use controller::cli::{CheckArgs, Cli, Command, Common, DiffArgs, FileArgs, PingArgs, ReportArgs, RunArgs};
use controller::commands;
use controller::config::{self, Checked, Problem, problems_json, problems_text};
use controller::plan::{Plan, plan_json, plan_text};
use controller::preflight::generator;
use controller::progress::{self, LogWriter};
use protocol::exit::Exit;
use tracing_subscriber::EnvFilter;

fn main() -> Exit {
    let cli = Cli::parse();
    let common = &cli.common;
    let done = match cli.command() {
        Command::Run(args) if args.dry_run => plan(common, &FileArgs::default()),
        Command::Run(args) => run(common, &args),
        Command::Check(args) => check(common, &args),
        Command::Plan(args) => plan(common, &args),
        Command::Report(args) => report(&args),
        Command::Diff(args) => diff(&args),
        Command::Ping(args) => ping(common, &args),
    };
    done.unwrap_or_else(|error| {
        print_error(&format!("error: {error:#}\n"));
        Exit::Internal
    })
}

/// Runs the experiment.
fn run(common: &Common, args: &RunArgs) -> anyhow::Result<Exit> {
    let Some(checked) = load(&common.config, common) else {
        return Ok(Exit::Config);
    };
    let shortages = on_this_machine(&checked, &common.config);
    if !shortages.is_empty() {
        print_error(&problems_text(&common.config, &shortages));
        return Ok(Exit::Config);
    }
    let trials = Plan::new(&checked.experiment).trials.len();
    let (progress, log) = progress::on_stderr(trials, std::io::stderr().is_terminal());
    if let Err(error) = log_to(log, &common.log) {
        return Ok(bad_filter(&error));
    }
    let run = commands::run(&checked, &common.config, args.resume.as_deref(), &*progress);
    Ok(block_on(run)?.unwrap_or_else(|error| failed(&error)))
}

/// Runs a command to its end. A connection attempt that it gave up may go on in a blocking thread: nothing waits for that.
fn block_on<T>(command: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    Ok(result)
}

/// What keeps a valid experiment from being run on this machine.
fn on_this_machine(checked: &Checked, file: &Path) -> Vec<Problem> {
    let shortages = generator::problems(&checked.experiment, file);
    checked.on_this_machine.iter().cloned().chain(shortages).collect()
}

/// Regenerates the report of a run.
fn report(args: &ReportArgs) -> anyhow::Result<Exit> {
    match report::rebuild(&args.run) {
        Ok(paths) => print(&format!("{}\n{}\n", paths.html.display(), paths.markdown.display()))?,
        Err(error) => return Ok(failed(&error.into())),
    }
    Ok(Exit::Ok)
}

/// Compares two runs.
fn diff(args: &DiffArgs) -> anyhow::Result<Exit> {
    let found = match diff::diff(&args.one, &args.other) {
        Ok(found) => found,
        Err(error) => return Ok(failed(&error.into())),
    };
    let show = if args.json { diff::json } else { diff::text };
    print(&show(&found))?;
    Ok(if found.is_empty() { Exit::Ok } else { Exit::Differ })
}

/// Prints the error that ended a command.
fn failed(error: &CampaignError) -> Exit {
    print_error(&format!("error: {error}\n"));
    commands::exit_of(error)
}

/// Checks an experiment file.
fn check(common: &Common, args: &CheckArgs) -> anyhow::Result<Exit> {
    let path = args.file.path(common);
    let mut checked = config::load(path, &common.overrides());
    if let Ok(valid) = &checked {
        let mut shortages = on_this_machine(valid, path);
        if !shortages.is_empty() {
            shortages.extend(valid.warnings.iter().cloned());
            checked = Err(shortages);
        }
    }
    let (problems, exit) = match &checked {
        Ok(checked) => (&checked.warnings, Exit::Ok),
        Err(problems) => (problems, Exit::Config),
    };
    let of_file = problems_json(path, problems);
    if !args.file.json {
        print_error(&problems_text(path, problems));
        if exit == Exit::Ok {
            print(&format!("{} is valid\n", path.display()))?;
        }
    }
    match checked {
        Ok(checked) if args.ask_host => check_host(common, &checked, args.file.json.then_some(of_file)),
        _ if args.file.json => {
            print(&format!("{of_file:#}\n"))?;
            Ok(exit)
        }
        _ => Ok(exit),
    }
}

/// Checks the host; with the JSON of the file's check, adds the result to it.
fn check_host(common: &Common, checked: &Checked, of_file: Option<serde_json::Value>) -> anyhow::Result<Exit> {
    if let Err(error) = log_to(LogWriter::plain(), &common.log) {
        return Ok(bad_filter(&error));
    }
    let found = match block_on(commands::check_host(&checked.experiment))? {
        Ok(found) => found,
        Err(error) => return Ok(failed(&error)),
    };
    match of_file {
        Some(mut value) => {
            value["host"] = serde_json::to_value(&found)?;
            print(&format!("{value:#}\n"))?;
        }
        None => print(&found.to_string())?,
    }
    Ok(if found.is_met() { Exit::Ok } else { Exit::Host })
}

/// Prints the plan.
fn plan(common: &Common, args: &FileArgs) -> anyhow::Result<Exit> {
    let Some(Checked { experiment, .. }) = load(args.path(common), common) else {
        return Ok(Exit::Config);
    };
    let plan = Plan::new(&experiment);
    let show = if args.json { plan_json } else { plan_text };
    print(&show(&experiment, &plan))?;
    Ok(Exit::Ok)
}

/// Measures the round-trip time of a command.
fn ping(common: &Common, args: &PingArgs) -> anyhow::Result<Exit> {
    let Some(Checked { experiment, .. }) = load(&common.config, common) else {
        return Ok(Exit::Config);
    };
    if let Err(error) = log_to(LogWriter::plain(), &common.log) {
        return Ok(bad_filter(&error));
    }
    match block_on(commands::ping(&experiment, args.count))? {
        Ok(times) => print(&times.to_string())?,
        Err(error) => return Ok(failed(&error)),
    }
    Ok(Exit::Ok)
}

/// Loads an experiment; `None` if it is invalid. Prints all problems.
fn load(path: &Path, common: &Common) -> Option<Checked> {
    let checked = config::load(path, &common.overrides());
    print_error(&problems_text(
        path,
        checked.as_ref().map_or_else(|all| all, |checked| &checked.warnings),
    ));
    checked.ok()
}

/// Starts logging.
fn log_to(writer: LogWriter, filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(writer)
        .init();
    Ok(())
}

fn bad_filter(error: &tracing_subscriber::filter::ParseError) -> Exit {
    print_error(&format!(
        "option --log: {error}; write e.g. --log info, or --log info,loader=debug\n"
    ));
    Exit::Usage
}

/// Prints to standard output; a closed pipe (`| head`) is not an error.
fn print(text: &str) -> std::io::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints to standard error; write errors are ignored.
fn print_error(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
