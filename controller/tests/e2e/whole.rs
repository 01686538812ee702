//! A complete run, unattended and on a terminal.

use std::process::Command;

use testkit::process::Running;

use crate::agree::{agree, begun, planned};
use crate::experiment::NATIVE;
use crate::lab::{Lab, program};

/// Two identical platforms, two loads, two blocks.
const TWICE: &str = "[[platform]]\nkind = \"native\"\n[[platform]]\nkind = \"native\"\nname = \"again\"\n";

#[test]
fn a_run_on_a_pipe() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let loads = [("r100", 100, 1), ("r150", 150, 2)];
    lab.write(&lab.experiment().with_platforms(TWICE).with_loads(&loads));
    let said = on_a_pipe(&lab).ends_with(0);
    assert!(!said.contains('\u{1b}'), "{said}");
    assert!(said.contains("finished: 8 trials done"), "{said}");
    let run = lab.run_folder();
    assert!(said.contains(&format!(
        "report:  results/small/{}",
        run.file_name().unwrap().display()
    )));
    let agreed = agree(&run);
    let requests: u64 = agreed.counted().map(|attempt| attempt.total).sum();
    assert_eq!(requests, 2 * 2 * (100 + 300));
    assert_eq!(begun(&run), planned(&run));
    assert_eq!(plan(&lab), planned(&run));
    ping(&lab);
}

/// The order printed by `controller plan`.
fn plan(lab: &Lab) -> Vec<String> {
    let output = lab.ask(&["plan", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let trials = plan["trials"].as_array().unwrap();
    trials
        .iter()
        .map(|trial| format!("{}/{}", trial["cell"].as_str().unwrap(), trial["block"]))
        .collect()
}

/// The runner outlives the broker of the run and answers over the broker of the ping.
fn ping(lab: &Lab) {
    let said = lab.controller(&["ping", "--count", "50"]).ends_with(0);
    assert!(
        said.contains(&format!("50 round trips of PING to {}", lab.host)),
        "{said}"
    );
    for figure in ["p50 ", "p90 ", "p99 ", "max "] {
        assert!(said.contains(figure), "{said}");
    }
    println!("{said}");
}

#[test]
fn a_run_on_a_terminal_shows_bars() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.write(&lab.experiment().with_platforms(NATIVE).with_blocks(1));
    let said = on_a_terminal(&lab).ends_with(0);
    assert!(said.contains("\u{1b}[") && said.contains('█'), "{said}");
    agree(&lab.run_folder());
}

/// Detected by these tests and by `controller report`.
#[test]
fn a_missing_row_is_detected() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.run(&lab.experiment().with_blocks(1), 0);
    let run = lab.run_folder();
    let trial = agree(&run).counted().next().unwrap().folder.clone();
    let requests = run.join(trial).join("requests.jtl");
    let text = std::fs::read_to_string(&requests).unwrap();
    let cut = text.trim_end().rfind('\n').unwrap();
    std::fs::write(&requests, &text[..=cut]).unwrap();
    assert!(std::panic::catch_unwind(|| agree(&run)).is_err());
    let output = program("controller").arg("report").arg(&run).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(
        report.contains("0 of 1 trials count") && report.contains("excluded"),
        "{report}"
    );
}

/// The controller with its output on a pipe.
fn on_a_pipe(lab: &Lab) -> Running {
    shell(lab, "set -o pipefail; \"$0\" --config e.toml 2>&1 | cat")
}

/// The controller with its output on a terminal, provided by util-linux's `script`.
fn on_a_terminal(lab: &Lab) -> Running {
    shell(
        lab,
        "exec script --quiet --return --command \"TERM=xterm '$0' --config e.toml\" /dev/null",
    )
}

fn shell(lab: &Lab, script: &str) -> Running {
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .arg(program("controller").get_program())
        .current_dir(lab.path(""));
    Running::start("controller", command, &lab.path("controller.log"))
}
