//! Requirements of `[host]` and limits of `[band]`, and the comparison of two runs.

use std::fs::read_to_string;

use crate::agree::{agree, json};
use crate::experiment::load;
use crate::lab::Lab;

/// A kernel that no host runs.
const OTHER_KERNEL: &str = "[host]\nkernel = \"0.0-none\"\nmin_free_mib = 1\n";

#[test]
fn an_unmet_requirement_is_reported_and_ends_the_run() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let experiment = lab.experiment().with_more(OTHER_KERNEL);
    lab.write(&experiment);
    let said = lab.controller(&["check", "--ask-host"]).ends_with(9);
    let line = |word: &str| said.lines().find(|line| line.trim().starts_with(word)).unwrap_or(&said);
    assert!(line("NOT MET").contains("[host] kernel = \"0.0-none\""), "{said}");
    assert!(line("met").contains("[host] min_free_mib = 1"), "{said}");
    assert!(line("note").contains("share CPU"), "{said}");
    let said = lab.run(&experiment, 9);
    assert!(
        said.contains("kernel = \"0.0-none\"") && said.contains("waive"),
        "{said}"
    );
    lab.assert_no_run();
}

#[test]
fn waived_requirements_are_reported_and_stored() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let experiment = lab
        .experiment()
        .with_blocks(1)
        .with_more(&format!("{OTHER_KERNEL}waive = [\"kernel\"]\n"));
    lab.write(&experiment);
    let output = lab.controller(&["check", "--json", "--ask-host"]).ends_with(0);
    let start = output.find('{').unwrap();
    let said: serde_json::Value = serde_json::Deserializer::from_str(&output[start..])
        .into_iter()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(
        (said["ok"].as_bool(), said["host"]["host"].as_str()),
        (Some(true), Some(&*lab.host))
    );
    assert!(
        said["host"]["preflight"]["waived"][0]
            .as_str()
            .unwrap()
            .contains("kernel"),
        "{said}"
    );
    assert_eq!(said["host"]["unmet"].as_array().unwrap().len(), 0);
    lab.run(&experiment, 0);
    let run = lab.run_folder();
    agree(&run);
    let waived = &json(&run.join("manifest.json"))["preflight"]["waived"];
    assert!(waived[0].as_str().unwrap().contains("0.0-none"), "{waived}");
    assert!(read_to_string(run.join("report.md")).unwrap().contains("0.0-none"));
}

#[test]
fn a_host_that_never_settles_makes_trials_suspect_or_stops_the_run() {
    const NEVER: &str = "[band]\nmin_free_mib = 1000000000\ndeadline = \"1s\"\n";
    let lab = Lab::new();
    let _runner = lab.runner();
    let experiment = lab.experiment().with_blocks(1);
    lab.run(&experiment.clone().with_more(NEVER), 0);
    let run = lab.run_folder();
    for attempt in agree(&run).counted() {
        assert!(
            attempt.validity == "suspect" && attempt.reasons.contains("band"),
            "{attempt:?}"
        );
        let band = &json(&run.join(&attempt.folder).join("trial.json"))["band"];
        assert!(band.to_string().contains("available memory"), "{band}");
    }
    let said = lab.run(&experiment.with_more(&format!("{NEVER}otherwise = \"stop\"\n")), 9);
    assert!(said.contains("available memory"), "{said}");
}

#[test]
fn two_runs_are_compared() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let experiment = lab.experiment().with_blocks(1);
    lab.run(&experiment.clone().with_more("[band]\nmax_load = 100000\n"), 0);
    let faster = lab.experiment().with_blocks(1);
    lab.run(
        &crate::experiment::Experiment {
            loads: load("r100", 120, 1),
            ..faster
        },
        0,
    );
    let runs: Vec<String> = lab.run_folders().iter().map(|run| run.display().to_string()).collect();
    let [one, other] = &runs[..] else { panic!("{runs:?}") };
    let ask = |a: &str, b: &str| {
        let output = lab.ask(&["diff", a, b]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = ask(one, one);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("The configurations are identical."), "{said}");
    let (code, said) = ask(one, other);
    assert_eq!(code, Some(10), "{said}");
    assert!(said.contains("120") && said.contains("max_load"), "{said}");
    let output = lab.ask(&["diff", "--json", one, other]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["differ"], true);
    let (code, _) = ask(one, "/nowhere");
    assert!(code.is_some_and(|code| code != 0 && code != 10));
}
