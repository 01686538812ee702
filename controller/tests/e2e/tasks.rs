//! Programs that run to their end again and again.

use crate::agree::agree;
use crate::experiment::{Experiment, NATIVE};
use crate::lab::Lab;
use crate::services::{assert_no_files, records, runner};

const ALLOWED: &str = "programs = [\"/usr/bin/*\", \"/bin/*\"]";

/// One block of a task of this many runs, which `tables` describe.
fn experiment(lab: &Lab, keys: &str, tables: &str) -> Experiment {
    Experiment {
        workload: Some(format!(
            "[[workload]]\nkind = \"task\"\nname = \"sum\"\n{keys}\n{tables}\n"
        )),
        loads: String::new(),
        ..lab.experiment().with_blocks(1)
    }
}

/// The SHA-256 of a file, which takes some time.
const SUM: &str = r#"
[[workload.file]]
path = "data"
bytes = "16MiB"
[workload.native]
program = "sha256sum"
args = ["data"]
[workload.task]
output = "%  data"
"#;

/// The SHA-256 of 16 MiB of letters A.
fn sum() -> String {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(vec![b'A'; 16 << 20]);
    SUM.replace('%', &hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Every counted attempt has these runs, with plausible figures.
#[track_caller]
fn assert_ran(lab: &Lab, runs: usize, platforms: usize) {
    let records = records(lab);
    assert_eq!(records.len(), platforms);
    let run = lab.run_folder();
    for record in &records {
        assert_eq!(record["requests"]["ok"], runs, "{record}");
        let figures = record["external"]["figures"].as_array().unwrap();
        let value = |name: &str| {
            let figure = figures.iter().find(|figure| figure["name"] == name).unwrap();
            figure["value"].as_f64().unwrap()
        };
        assert!(value("wall-time") >= value("user-time") * 0.9, "{figures:?}");
        assert!(value("cpu-time") > 0.0 && value("peak-memory") > 0.1, "{figures:?}");
    }
    for attempt in agree(&run).counted() {
        let table = std::fs::read_to_string(run.join(&attempt.folder).join("log/load.runs.csv")).unwrap();
        assert_eq!(table.lines().count(), runs + 1, "{table}");
        assert!(table.lines().skip(1).all(|line| line.ends_with(",true")), "{table}");
    }
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    for expected in ["wall-time (task)", "peak-memory (task)", "runs of the program"] {
        assert!(report.contains(expected), "no {expected:?} in\n{report}");
    }
    assert_no_files(lab);
}

#[test]
fn a_program_is_run_to_its_end_again_and_again() {
    let lab = Lab::new();
    let _runner = runner(&lab, &lab.path(""), ALLOWED);
    lab.run(&experiment(&lab, "runs = 5", &sum()), 0);
    assert_ran(&lab, 5, 1);
}

#[test]
fn a_wrong_output_makes_the_trial_invalid() {
    let lab = Lab::new();
    let _runner = runner(&lab, &lab.path(""), ALLOWED);
    let wrong = "[workload.native]\nprogram = \"echo\"\nargs = [\"41\"]\n[workload.task]\noutput = \"42\"\n";
    let mut experiment = experiment(&lab, "", wrong);
    experiment.max_attempts = 1;
    let said = lab.run(&experiment, 8);
    assert!(
        said.contains("its output of 3 bytes is not the expected one: it begins \"41\\n\""),
        "{said}"
    );
}

#[test]
#[ignore = "needs Docker"]
fn a_program_is_run_as_a_process_and_in_a_container() {
    let lab = Lab::new();
    let _runner = runner(&lab, &lab.path(""), ALLOWED);
    let experiment = experiment(&lab, "runs = 5", &sum());
    lab.run(
        &experiment.with_platforms(&[NATIVE, "[[platform]]\nkind = \"docker\"\n"].concat()),
        0,
    );
    assert_ran(&lab, 5, 2);
    assert_eq!(crate::docker::containers(&lab), Vec::<String>::new());
}

#[test]
#[ignore = "needs QEMU"]
fn a_program_is_run_in_a_guest() {
    let lab = Lab::new();
    crate::guest_lab::linux(&lab, "linux", "memory_mib = 256\n");
    let _runner = runner(&lab, &lab.path(""), ALLOWED);
    let mut experiment = experiment(&lab, "runs = 3\ntime_limit = \"5m\"", &sum());
    experiment.deadlines += "\nready = \"15m\"\ngrace = \"2m\"";
    let platform = crate::guest_lab::platform("vm", "linux", "bridge");
    lab.run_patiently(&experiment.with_platforms(&platform), 0);
    assert_ran(&lab, 3, 1);
    crate::guest_lab::assert_nothing_left(&lab);
}
