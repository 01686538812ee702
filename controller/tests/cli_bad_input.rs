//! The messages and exit codes for invalid input, from the real binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const VALID: &str = r#"[experiment]
name = "x"
[[platform]]
kind = "native"
[[workload]]
kind = "tcp"
[[load]]
kind = "rate"
name = "heavy"
rate = 500
duration = "10s"
"#;

/// Runs the program in a directory with an empty environment.
fn controller(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_controller"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

/// The exit code and standard error of `check` on a file of these bytes.
fn check(bytes: impl AsRef<[u8]>) -> String {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("experiments.toml"), bytes).unwrap();
    exit_and_stderr(&controller(folder.path(), &["check"]))
}

fn exit_and_stderr(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    format!("exit {}\n{error}", output.status.code().unwrap())
}

#[test]
fn a_valid_file() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("experiments.toml"), VALID).unwrap();
    let output = controller(folder.path(), &["check"]);
    assert_eq!(exit_and_stderr(&output), "exit 0\n");
    assert_eq!(output.stdout, b"experiments.toml is valid\n");
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(check(" \n"), @r#"
    exit 3
    experiments.toml: is empty; begin with a copy of a file in experiments/; see docs/experiments.md
    1 problem in experiments.toml
    "#);
}

#[test]
fn an_empty_or_missing_key_file() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("experiments.toml"),
        format!("{VALID}[kafka]\nkey_file = \"lab.key\"\n"),
    )
    .unwrap();
    let result = || exit_and_stderr(&controller(folder.path(), &["check"]));
    assert!(
        result().contains("key_file = \"lab.key\": this file cannot be read: No such file"),
        "{}",
        result()
    );
    std::fs::write(folder.path().join("lab.key"), "\n").unwrap();
    assert!(
        result().contains("key_file = \"lab.key\": this file is empty; make one with"),
        "{}",
        result()
    );
}

#[test]
fn a_missing_file_in_kafka_options() {
    let result = check(format!(
        "{VALID}[kafka]\nbrokers = \"lab-1:9092\"\n[kafka.options]\n\"ssl.ca.location\" = \"/none/ca.pem\"\n"
    ));
    assert!(
        result.starts_with("exit 3")
            && result.contains("ssl.ca.location = \"/none/ca.pem\": this file cannot be read: No such file"),
        "{result}"
    );
}

#[test]
fn shortages_of_this_machine_are_reported() {
    // No machine has this CPU, and no limit on open files or range of ports allows so many connections.
    let result = check(VALID.replace("rate = 500", "rate = 1000000\ntimeout = \"10m\"\ncpus = \"4095\""));
    assert!(
        result.starts_with("exit 3\nexperiments.toml: [[load]] heavy: cpus = \"4095\": CPUs "),
        "{result}"
    );
    assert!(
        result.contains("[[load]] heavy: rate: ") && result.contains("ip_local_port_range"),
        "{result}"
    );
}

#[test]
fn unknown_key() {
    insta::assert_snapshot!(check(VALID.replace("rate = 500", "rat = 500")), @r#"
    exit 3
    experiments.toml:7: [[load]] "heavy": rate: this key is missing; write e.g. rate = 500
    experiments.toml:10: [[load]] "heavy": rat = 500: unknown key; did you mean rate?
    2 problems in experiments.toml
    "#);
}

#[test]
fn negative_rate() {
    insta::assert_snapshot!(check(VALID.replace("500", "-5")), @r#"
    exit 3
    experiments.toml:10: [[load]] "heavy": rate = -5: a rate is above 0 requests a second; write e.g. rate = 500
    1 problem in experiments.toml
    "#);
}

#[test]
fn wrong_type() {
    insta::assert_snapshot!(check(VALID.replace("500", "\"500\"")), @r#"
    exit 3
    experiments.toml:10: [[load]] "heavy": rate = "500": expected a number; write it without quotation marks, e.g. 500 or 0.5
    1 problem in experiments.toml
    "#);
}

#[test]
fn no_toml() {
    insta::assert_snapshot!(check(VALID.replace("[experiment]", "[experiment")), @r#"
    exit 3
    experiments.toml:1: `[experiment`: invalid TOML: unclosed table, expected `]`; correct the line, then check again
    1 problem in experiments.toml
    "#);
}

#[test]
fn not_utf_8() {
    insta::assert_snapshot!(check(b"[experiment]\nname = \"\xff\"\n"), @r#"
    exit 3
    experiments.toml:2: is not UTF-8 (byte 21); save the file as UTF-8 text
    1 problem in experiments.toml
    "#);
}

#[test]
fn a_file_that_is_too_large() {
    insta::assert_snapshot!(check(vec![b'#'; 300_000]), @r#"
    exit 3
    experiments.toml: is larger than 262144 bytes; an experiment file is a short TOML text; see docs/experiments.md
    1 problem in experiments.toml
    "#);
}

#[test]
fn no_such_file() {
    let folder = TempDir::new().unwrap();
    insta::assert_snapshot!(exit_and_stderr(&controller(folder.path(), &["check", "nowhere.toml"])), @r#"
    exit 3
    nowhere.toml: cannot be read: No such file or directory (os error 2); name an experiment file with --config, or start in the folder of experiments.toml
    1 problem in nowhere.toml
    "#);
}

#[test]
fn a_directory() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("lab")).unwrap();
    insta::assert_snapshot!(exit_and_stderr(&controller(folder.path(), &["check", "lab"])), @r#"
    exit 3
    lab: is a directory; name the file in it: --config DIR/experiments.toml
    1 problem in lab
    "#);
}

#[test]
fn everything_at_once() {
    let text = VALID
        .replace("name = \"x\"", "name = \"X Y\"\niterations = 0")
        .replace("500", "\"500\"")
        .replace("\"native\"", "\"natvie\"")
        .replace("\"tcp\"", "\"tcp\"\nport = 0");
    insta::assert_snapshot!(check(text), @r#"
    exit 3
    experiments.toml:2: [experiment]: name = "X Y": invalid name; use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or a digit
    experiments.toml:3: [experiment]: iterations = 0: the number of iterations is 1 to 10000; write e.g. 30
    experiments.toml:5: [[platform]] 1: kind = "natvie": unknown value; did you mean "native"?
    experiments.toml:8: [[workload]] 1: port = 0: a port is 1 to 65535; write e.g. 8080
    experiments.toml:12: [[load]] "heavy": rate = "500": expected a number; write it without quotation marks, e.g. 500 or 0.5
    5 problems in experiments.toml
    "#);
}

#[test]
fn every_command_rejects_an_invalid_file() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("experiments.toml"), VALID.replace("500", "-5")).unwrap();
    let checked = exit_and_stderr(&controller(folder.path(), &["check"]));
    for arguments in [&[][..], &["run"], &["--dry-run"], &["plan"], &["ping"]] {
        assert_eq!(
            exit_and_stderr(&controller(folder.path(), arguments)),
            checked,
            "{arguments:?}"
        );
    }
}

#[test]
fn an_option_is_checked_like_the_file() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("experiments.toml"), VALID).unwrap();
    let output = controller(folder.path(), &["check", "--brokers", "lab-1", "--iterations", "-1"]);
    insta::assert_snapshot!(exit_and_stderr(&output), @r#"
    exit 3
    option --iterations: [experiment]: iterations = -1: the number of iterations is 1 to 10000; write e.g. 30
    option --brokers: [kafka]: brokers = "lab-1": "lab-1" is not host:port; write "embedded", or addresses like "lab-1:9092,lab-2:9092"
    2 problems in experiments.toml
    "#);
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    let folder = TempDir::new().unwrap();
    let result = exit_and_stderr(&controller(folder.path(), &["--confg", "x"]));
    assert!(result.starts_with("exit 2\n"), "{result}");
    assert!(result.contains("--config"), "no suggestion: {result}");
}

#[test]
fn an_invalid_log_filter_is_a_usage_error() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("experiments.toml"), VALID).unwrap();
    let result = exit_and_stderr(&controller(folder.path(), &["ping", "--log", "controller=loud"]));
    assert!(result.starts_with("exit 2\noption --log: "), "{result}");
}

#[test]
fn problems_as_json() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("experiments.toml"), VALID.replace("500", "-5")).unwrap();
    let output = controller(folder.path(), &["check", "--json"]);
    assert_eq!(exit_and_stderr(&output), "exit 3\n", "everything is on standard output");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    insta::assert_json_snapshot!(json, @r#"
    {
      "file": "experiments.toml",
      "ok": false,
      "problems": [
        {
          "file": "experiments.toml",
          "key": "rate",
          "line": 10,
          "remedy": "write e.g. rate = 500",
          "severity": "error",
          "table": "[[load]] \"heavy\"",
          "value": "-5",
          "what": "a rate is above 0 requests a second"
        }
      ]
    }
    "#);
}

/// Names become files, topics, interfaces and arguments of other programs.
#[test]
fn malicious_names_are_rejected() {
    let guest = |name: &str| format!("kind = \"guest\"\nguest = \"{name}\"");
    for evil in [
        "../../etc/passwd",
        "osv -append x",
        "a,b",
        "$(reboot)",
        "-enable-kvm",
        "a\\nb",
    ] {
        let result = check(VALID.replace("kind = \"native\"", &guest(evil)));
        assert!(
            result.starts_with("exit 3\n") && result.contains("invalid name"),
            "{evil}: {result}"
        );
        let result = check(VALID.replace("kind = \"tcp\"", &format!("kind = \"tcp\"\nname = \"{evil}\"")));
        assert!(
            result.starts_with("exit 3\n") && result.contains("invalid name"),
            "{evil}: {result}"
        );
    }
    let result = check(VALID.replace("kind = \"native\"", &guest("osv")));
    assert_eq!(result, "exit 0\n");
}
