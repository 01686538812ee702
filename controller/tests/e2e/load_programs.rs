//! Loads of kind `command`: programs of others in complete runs.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::wait::until;

use crate::agree::{agree, agree_so_far, json};
use crate::experiment::{Experiment, NATIVE};
use crate::lab::Lab;

/// A shell script as the load program: it asks the service once over bash's own TCP, then prints figures.
const SCRIPT: &str = r#"
[[load]]
kind = "command"
name = "mine"
program = "bash"
arguments = ["-c", "exec 3<>/dev/tcp/$0/$1; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; read -r line <&3; sleep {duration}; echo \"{\\\"p99\\\": 0.0{seed}5, \\\"ok\\\": 1, \\\"status\\\": \\\"${line:9:3}\\\"}\"; echo noise >&2", "{host}", "{port}"]
version = ["--version"]
duration = "1s"
warm_up = "0s"

[[load.figure]]
name = "p99"
unit = "ms"
given_in = "s"
better = "lower"
json = "/p99"

[[load.figure]]
name = "status"
unit = "1"
better = "neither"
json = "/status"

[[load.figure]]
name = "ok"
unit = "requests"
better = "neither"
json = "/ok"
counts = "successes"
"#;

const TWO: &str = "[[platform]]\nkind = \"native\"\n\n[[platform]]\nkind = \"native\"\nname = \"again\"\n";

fn experiment(lab: &Lab, platforms: &str, loads: &str) -> Experiment {
    Experiment {
        iterations: 1,
        platforms: platforms.into(),
        loads: loads.into(),
        ..lab.experiment()
    }
}

/// The records of the attempts that count.
fn records(run: &Path) -> Vec<Value> {
    let agreed = agree(run);
    let records = agreed
        .counted()
        .map(|attempt| json(&run.join(&attempt.folder).join("trial.json")));
    records.collect()
}

#[test]
fn figures_of_a_program_reach_every_result() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.run(&experiment(&lab, TWO, SCRIPT), 0);
    let run = lab.run_folder();
    let records = records(&run);
    assert_eq!(records.len(), 2);
    for record in &records {
        let external = &record["external"];
        assert_eq!(external["figures"][1]["value"], 200.0, "{external}");
        assert_eq!(
            (&external["requests"], &external["counts"]),
            (&false.into(), &true.into())
        );
        assert!(
            external["version"].as_str().unwrap().starts_with("GNU bash"),
            "{external}"
        );
        assert_eq!(external["sha256"].as_str().unwrap().len(), 64);
        assert_eq!(record["requests"]["ok"], 1);
        let rules: Vec<&str> = record["verdict"]["not_applicable"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(rules, ["body", "littles-law", "generator-lag", "generator-limit"]);
        assert_eq!((&record["little"], &record["generator"]), (&Value::Null, &Value::Null));
        let window = &record["window"];
        assert!(
            window["end_ns"].as_u64().unwrap() - window["start_ns"].as_u64().unwrap() >= 1_000_000_000,
            "{window}"
        );
        let folder = run.join(format!(
            "{}.tcp.mine/1-1",
            record["key"]["trial"]["cell"]["platform"].as_str().unwrap()
        ));
        assert_eq!(
            std::fs::read_to_string(folder.join("log/load.stderr")).unwrap(),
            "noise\n"
        );
    }
    let results = json(&run.join("native.json"));
    let metrics = &results["cells"][0]["metrics"];
    assert_eq!(
        (&metrics["reported.p99"]["unit"], &metrics["reported.p99"]["n"]),
        (&"ms".into(), &1.into())
    );
    assert_eq!(metrics["throughput"]["values"], serde_json::json!([]));
    assert!(metrics["cpu"]["values"][0].as_f64().is_some(), "{metrics}");
    for report in ["report.md", "report.html"] {
        let text = std::fs::read_to_string(run.join(report)).unwrap();
        for expected in [
            "p99 (bash)",
            "status (bash)",
            "the load program bash, for 1 s",
            "do not apply: wrong bodies, Little",
        ] {
            assert!(text.contains(expected), "no {expected:?} in {report}:\n{text}");
        }
    }
    let markdown = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(
        markdown.contains("| again | p99 (bash) |") || markdown.contains("p99 (bash) "),
        "{markdown}"
    );
    let compared = lab.ask(&["diff", run.to_str().unwrap(), run.to_str().unwrap()]);
    let text = String::from_utf8(compared.stdout).unwrap();
    assert!(text.contains("reported.p99"), "{text}");
}

#[test]
fn a_program_that_fails_makes_the_trial_invalid_and_its_output_is_kept() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let failing = SCRIPT.replace("echo noise >&2", "echo 'my reason' >&2; exit 3");
    let said = lab.run(
        &Experiment {
            max_attempts: 2,
            ..experiment(&lab, NATIVE, &failing)
        },
        8,
    );
    assert!(
        said.contains("bash failed: exit status: 3, expected exit code 0: my reason"),
        "{said}"
    );
    let run = lab.run_folder();
    let agreed = agree_so_far(&run);
    assert_eq!((agreed.attempts.len(), agreed.counted().count()), (2, 0));
    let kept = run.join(&agreed.attempts[0].folder).join("log/load.stderr");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "my reason\n");
}

#[test]
fn a_figure_that_is_not_there_makes_the_trial_invalid() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let wrong = SCRIPT.replace("json = \"/p99\"", "json = \"/latency/p99\"");
    let said = lab.run(
        &Experiment {
            max_attempts: 1,
            ..experiment(&lab, NATIVE, &wrong)
        },
        8,
    );
    assert!(said.contains("figure p99 in stdout: there is no"), "{said}");
    assert!(said.contains("the document has ok, p99, status"), "{said}");
}

#[test]
fn a_program_that_is_missing_is_refused_before_anything_is_deployed() {
    let lab = Lab::new();
    let missing = SCRIPT.replace(
        "program = \"bash\"",
        "program = \"no-such-load\"\ninstall = \"apt-get install it\"",
    );
    lab.write(&experiment(&lab, NATIVE, &missing));
    for arguments in [&["check", "e.toml"][..], &[]] {
        let output = lab.ask(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        let expected = "program = \"no-such-load\": no-such-load is not installed on this machine (searched in PATH); apt-get install it";
        assert!(said.contains("e.toml:") && said.contains(expected), "{said}");
    }
    lab.assert_no_run();
}

#[test]
fn ctrl_c_kills_the_program() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let mark = lab.path("pid");
    let endless = SCRIPT.replace(
        "sleep {duration}",
        &format!("echo $BASHPID > {}; exec sleep 300 {{duration}}", mark.display()),
    );
    lab.write(&experiment(&lab, NATIVE, &endless));
    let mut controller = lab.controller(&[]);
    until("the program runs", || {
        std::fs::read_to_string(&mark).is_ok_and(|pid| pid.ends_with('\n'))
    });
    let pid: u32 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
    assert!(testkit::process::is_alive(pid));
    controller.signal(Signal::SIGINT);
    controller.ends_with(130);
    assert!(!testkit::process::is_alive(pid));
}

/// wrk, ab and a closed loop of our own on the same service.
#[test]
#[ignore = "needs load programs"]
fn wrk_and_ab_measure_a_process() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let loads = "[[load]]\nkind = \"command\"\nname = \"wrk\"\npreset = \"wrk\"\nparameters = { connections = 4 }\nduration = \"2s\"\nwarm_up = \"1s\"\n\
                 [[load]]\nkind = \"command\"\nname = \"ab\"\npreset = \"ab\"\nparameters = { connections = 4 }\nduration = \"2s\"\nwarm_up = \"1s\"\n\
                 [[load]]\nkind = \"max\"\nname = \"own\"\nconnections = 4\nduration = \"2s\"\nwarm_up = \"500ms\"\n";
    lab.run(&experiment(&lab, TWO, loads), 0);
    let run = lab.run_folder();
    let records = records(&run);
    assert_eq!(records.len(), 6);
    for record in records.iter().filter(|record| !record["external"].is_null()) {
        let figures = record["external"]["figures"].as_array().unwrap();
        assert!(figures.iter().all(|figure| figure["value"].is_number()), "{figures:?}");
        assert_eq!(figures[0]["name"], "throughput");
        assert!(figures[0]["value"].as_f64().unwrap() > 100.0, "{figures:?}");
        assert!(
            record["requests"]["ok"].as_u64().unwrap() > 100 && record["requests"]["failed"] == serde_json::json!({})
        );
        assert!(
            record["resources"][0]["cpu_total_percent"].as_f64().unwrap() > 1.0,
            "{}",
            record["resources"]
        );
    }
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    for expected in [
        "throughput (wrk), req/s",
        "latency-p99 (ab), ms",
        "the load program wrk with connections = 4, path = /, threads = 1, for 2 s",
    ] {
        assert!(report.contains(expected), "no {expected:?} in\n{report}");
    }
}
