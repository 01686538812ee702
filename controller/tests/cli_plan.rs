//! The shipped experiment files, the output of `plan`, and the help text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use protocol::description::{RawDescription, RawKeys};

/// The project's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the program in the project's root with an empty environment.
fn controller(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_controller"))
        .args(arguments)
        .current_dir(root())
        .env_clear()
        .output()
        .unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    let output = controller(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    assert_eq!(error, "", "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_shipped_experiment_is_valid() {
    let more = std::fs::read_dir(root().join("experiments")).unwrap();
    let files = more.map(|entry| format!("experiments/{}", entry.unwrap().file_name().display()));
    let files: Vec<_> = files
        .filter(|file| file.ends_with(".toml"))
        .chain(["experiments.toml".to_owned()])
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        if text.contains("kind = \"command\"") {
            // Whether its programs are installed is another question.
            assert!(stdout(&["plan", &file]).contains(" trials\n"));
        } else {
            assert_eq!(stdout(&["check", &file]), format!("{file} is valid\n"));
        }
    }
}

#[test]
fn the_plan_of_the_first_experiment() {
    insta::assert_snapshot!(stdout(&["plan"]), @r#"
    first-look: 2 platforms x 1 workload x 2 loads = 4 cells, 3 blocks, 12 trials
         1  block 1     native.tcp.rate-500   load 12s
         2  block 1     native.tcp.rate-1000  load 12s
         3  block 1     docker.tcp.rate-1000  load 12s
         4  block 1     docker.tcp.rate-500   load 12s
         5  block 2     native.tcp.rate-500   load 12s
         6  block 2     native.tcp.rate-1000  load 12s
         7  block 2     docker.tcp.rate-1000  load 12s
         8  block 2     docker.tcp.rate-500   load 12s
         9  block 3     native.tcp.rate-1000  load 12s
        10  block 3     docker.tcp.rate-500   load 12s
        11  block 3     docker.tcp.rate-1000  load 12s
        12  block 3     native.tcp.rate-500   load 12s
    estimated duration 3m, assuming an overhead of 3s per trial; a run refines the estimate
    "#);
    assert_eq!(stdout(&["run", "--dry-run"]), stdout(&["plan"]));
}

#[test]
fn the_plan_as_json() {
    let json: serde_json::Value = serde_json::from_str(&stdout(&["plan", "--json", "--seed", "7"])).unwrap();
    let mut trials_of: BTreeMap<&str, u32> = BTreeMap::new();
    for trial in json["trials"].as_array().unwrap() {
        *trials_of.entry(trial["cell"].as_str().unwrap()).or_default() += 1;
    }
    let cells: Vec<_> = json["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell.as_str().unwrap())
        .collect();
    assert_eq!(trials_of.len(), cells.len());
    assert!(cells.iter().all(|cell| trials_of[cell] == 3), "{trials_of:?}");
    assert_eq!(json["seed"], 7);
    assert_eq!(json["eta_ms"], 12 * (12_000 + 3000));
}

#[test]
fn the_command_line_overrides_the_environment() {
    let plan = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_controller"))
            .args(arguments)
            .current_dir(root())
            .env_clear()
            .env("JUNG_CONFIG", "experiments/czipri-tcp.toml")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(plan(&["plan"]).starts_with("czipri-tcp: "));
    assert!(plan(&["plan", "--config", "experiments.toml"]).starts_with("first-look: "));
    assert!(plan(&["plan", "experiments.toml"]).starts_with("first-look: "));
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_controller"))
        .args(["plan", "--iterations", "10000"])
        .current_dir(root())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn help_shows_every_command_and_exit_code() {
    let help = stdout(&["--help"]);
    for word in [
        "run",
        "check",
        "plan",
        "ping",
        "--resume",
        "--dry-run",
        "Examples:",
        "docs/experiments.md",
    ] {
        assert!(help.contains(word), "no {word} in\n{help}");
    }
    for exit in controller::exit::Exit::ALL {
        let line = format!("{:>3}  {}", exit.code(), exit.meaning());
        assert!(help.contains(&line), "no {line} in\n{help}");
    }
}

#[test]
fn the_references_have_every_key() {
    let tables = |tables: &[(&'static str, &'static [&'static str])]| {
        let mut merged: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (table, keys) in tables {
            merged.entry(format!("`{table}`")).or_default().extend(*keys);
        }
        merged
    };
    assert_reference("docs/experiments.md", tables(controller::config::RawExperiment::TABLES));
    let mut description = tables(RawDescription::TABLES);
    description.insert("Keys of a description".into(), RawKeys::KEYS.to_vec());
    assert_reference("docs/services.md", description);
}

#[track_caller]
fn assert_reference(document: &str, tables: BTreeMap<String, Vec<&str>>) {
    let reference = std::fs::read_to_string(root().join(document)).unwrap();
    for (table, keys) in tables {
        let heading = format!("\n## {table}\n");
        let (_, after) = reference.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
        let section = after.split("\n## ").next().unwrap();
        let listed: Vec<_> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .filter(|key| !key.starts_with('"'))
            .collect();
        assert_eq!(listed, keys, "{table}: the keys of the program, in its order");
    }
}
