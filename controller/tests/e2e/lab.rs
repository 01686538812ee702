//! A lab on this machine: a directory, ports and names of its own, and the programs in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::free_port;
use testkit::process::Running;

use crate::experiment::{Experiment, NATIVE, load};

/// A lab. Its directory is removed on drop, unless the test fails.
pub struct Lab {
    folder: Option<tempfile::TempDir>,
    /// The runner's name, unique to this lab.
    pub host: String,
    /// The address of the broker, embedded or not.
    pub broker: String,
}

impl Lab {
    pub fn new() -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        Self {
            folder: Some(tempfile::Builder::new().prefix("jung-e2e-").tempdir().unwrap()),
            host: format!("e2e-{}", &id[..12]),
            broker: format!("127.0.0.1:{}", free_port()),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().unwrap().path().join(name)
    }

    /// The topic prefix.
    pub fn prefix(&self) -> String {
        format!("{}.", self.host)
    }

    /// Native, one small load, two blocks, embedded broker.
    pub fn experiment(&self) -> Experiment {
        Experiment {
            name: "small".into(),
            host: self.host.clone(),
            iterations: 2,
            max_attempts: 10,
            platforms: NATIVE.into(),
            port: free_port(),
            workload: None,
            loads: load("r100", 100, 1),
            kafka: format!(
                "brokers = \"embedded\"\nlisten = \"{}\"\nprefix = \"{}\"",
                self.broker,
                self.prefix()
            ),
            deadlines: "answer = \"60s\"\nlease = \"30s\"".into(),
            interval: "200ms".into(),
            more: String::new(),
        }
    }

    /// The same with an external broker.
    pub fn experiment_over(&self, brokers: &str) -> Experiment {
        Experiment {
            kafka: format!("brokers = \"{brokers}\"\nprefix = \"{}\"", self.prefix()),
            ..self.experiment()
        }
    }

    /// Writes the experiment file.
    pub fn write(&self, experiment: &Experiment) {
        std::fs::write(self.path("e.toml"), experiment.toml()).unwrap();
    }

    /// The controller with this lab's file, in its directory, with an empty environment.
    pub fn controller_command(&self, arguments: &[&str]) -> Command {
        let mut command = program("controller");
        command
            .args(["--config", "e.toml"])
            .args(arguments)
            .current_dir(self.path(""));
        command
    }

    /// Starts the controller.
    pub fn controller(&self, arguments: &[&str]) -> Running {
        self.controller_with(self.controller_command(arguments))
    }

    pub fn controller_with(&self, command: Command) -> Running {
        Running::start("controller", command, &self.path("controller.log"))
    }

    /// Runs a short command of the controller.
    pub fn ask(&self, arguments: &[&str]) -> Output {
        self.controller_command(arguments).output().unwrap()
    }

    /// Writes the experiment file and runs it; the controller must exit with `code`. Returns its output.
    #[track_caller]
    pub fn run(&self, experiment: &Experiment, code: i32) -> String {
        self.write(experiment);
        self.controller(&[]).ends_with(code)
    }

    /// The same with a timeout that allows for emulated guests.
    #[track_caller]
    pub fn run_patiently(&self, experiment: &Experiment, code: i32) -> String {
        self.write(experiment);
        self.controller(&[]).patiently().ends_with(code)
    }

    pub fn runner_command(&self) -> Command {
        let mut command = program("runner");
        command
            // The program may have been built outside the repository, where it looks for the script.
            .env(
                "JUNG_RUNNER__APACHE_KAFKA",
                concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kafka/kafka.sh"),
            )
            .args([
                "--name",
                &self.host,
                "--prefix",
                &self.prefix(),
                "--brokers",
                &self.broker,
            ])
            .arg("--workload")
            .arg(workload())
            .arg("--state")
            .arg(self.path("state"));
        command
    }

    /// Starts the runner, possibly before its broker.
    pub fn runner(&self) -> Running {
        self.runner_with(self.runner_command())
    }

    pub fn runner_with(&self, command: Command) -> Running {
        Running::start("runner", command, &self.path("runner.log"))
    }

    /// Starts an external broker with this lab's address and files.
    pub fn broker(&self, arguments: &[&str]) -> Running {
        let mut command = program("broker");
        command
            .args(["--listen", &self.broker])
            .args(arguments)
            .arg("--data")
            .arg(self.path("broker"));
        let mut broker = Running::start("broker", command, &self.path("broker.log"));
        broker.wait_for("listening on");
        broker
    }

    /// The directory of the only run.
    #[track_caller]
    pub fn run_folder(&self) -> PathBuf {
        let runs = self.run_folders();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs[0].clone()
    }

    /// There is no run, not even an interrupted one.
    #[track_caller]
    pub fn assert_no_run(&self) {
        assert_eq!(self.run_folders(), Vec::<PathBuf>::new());
    }

    /// The directories of all runs, by start time.
    pub fn run_folders(&self) -> Vec<PathBuf> {
        folders(&self.path("results/small"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = self.folder.take().map(tempfile::TempDir::keep);
            eprintln!("--- what the test left is in {kept:?}");
        }
    }
}

/// The subdirectories of a directory, sorted; none if it does not exist.
fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(items) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    let mut found: Vec<_> = items
        .map(|item| item.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// One of the project's programs, with an empty environment.
pub fn program(name: &str) -> Command {
    let path = next_to_controller(name);
    let mut command = Command::new(path);
    clear_environment(&mut command);
    command
}

/// Clears the environment, except for PATH and the container engine.
fn clear_environment(command: &mut Command) {
    let kept = ["PATH", "DOCKER_HOST"].map(|name| (name, std::env::var_os(name)));
    command.env_clear();
    command.envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))));
}

/// The same program started by another one, such as `nsenter` or `setpriv`.
pub fn started_by(starter: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(starter[0]);
    wrapped
        .args(&starter[1..])
        .arg(command.get_program())
        .args(command.get_args());
    clear_environment(&mut wrapped);
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

fn next_to_controller(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_controller")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build --workspace first",
        path.display()
    );
    path
}

/// The static workload program if it exists; natively, the dynamic one works as well.
pub fn workload() -> PathBuf {
    std::env::var_os("JUNG_TEST_WORKLOAD").map_or_else(|| next_to_controller("workload"), PathBuf::from)
}
