//! A service that cannot start, one that is killed under load, and loads that cannot run.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::wait::until;

use crate::agree::{agree, agree_so_far};
use crate::experiment::Experiment;
use crate::lab::Lab;

#[test]
fn the_port_of_the_service_is_in_use() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let experiment = Experiment {
        max_attempts: 2,
        iterations: 1,
        ..lab.experiment()
    };
    let _other = TcpListener::bind(("127.0.0.1", experiment.port)).unwrap();
    let said = lab.run(&experiment, 8);
    let address = format!("127.0.0.1:{}", experiment.port);
    assert!(
        said.contains("given up after 2 attempts") && said.contains(&address),
        "{said}"
    );
    let run = lab.run_folder();
    let agreed = agree_so_far(&run);
    assert_eq!(agreed.attempts.len(), 2);
    for attempt in &agreed.attempts {
        assert!(attempt.reasons.contains(&address), "{attempt:?}");
    }
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(report.contains(&address), "{report}");
}

/// A load generator pinned to a CPU that does not exist is rejected before anything is deployed.
#[test]
fn a_load_that_cannot_run() {
    let lab = Lab::new();
    let experiment = Experiment {
        loads: max("nowhere", 2, "cpus = \"999\""),
        ..lab.experiment()
    };
    let said = lab.run(&experiment, 3);
    assert!(said.contains("are online, not 999"), "{said}");
    assert!(!lab.path("results/small").exists(), "{said}");
}

/// The limit on open files is lowered after the checks and before the first trial, so the larger load is refused at its start.
#[test]
fn a_load_that_fails_at_its_start_is_reported_and_retried() {
    let lab = Lab::new();
    let experiment = Experiment {
        max_attempts: 2,
        iterations: 1,
        loads: max("large", 300, "") + &max("small", 2, ""),
        ..lab.experiment()
    };
    lab.write(&experiment);
    let mut controller = lab.controller(&[]);
    until("the controller waits for the runner", || {
        TcpStream::connect(&lab.broker).is_ok()
    });
    let limited = Command::new("prlimit")
        .args(["--nofile=400:400", "--pid", &controller.id().to_string()])
        .status();
    assert!(limited.unwrap().success());
    let _runner = lab.runner();
    let said = controller.ends_with(8);
    assert!(
        said.contains("given up after 2 attempts") && said.contains("raise the hard limit"),
        "{said}"
    );
    let run = lab.run_folder();
    let agreed = agree_so_far(&run);
    let (large, small): (Vec<_>, Vec<_>) = agreed
        .attempts
        .iter()
        .partition(|attempt| attempt.cell.ends_with(".large"));
    assert_eq!(large.len(), 2, "{agreed:?}");
    for attempt in large {
        assert!(!attempt.counts(), "{attempt:?}");
        assert!(attempt.reasons.contains("this process may open 400"), "{attempt:?}");
    }
    assert!(!small.is_empty(), "the run continues: {agreed:?}");
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(report.contains("this process may open 400"), "{report}");
}

/// A `[[load]]` table of a closed loop without think time.
fn max(name: &str, connections: u32, more: &str) -> String {
    format!(
        "[[load]]\nkind = \"max\"\nname = \"{name}\"\nconnections = {connections}\nduration = \"500ms\"\nwarm_up = \"100ms\"\n{more}\n"
    )
}

/// The search for the highest rate, from the experiment file to the report.
#[test]
fn a_ramp_reports_its_knee() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let ramp = "[[load]]\nkind = \"ramp\"\nname = \"ramp\"\nfrom = 20\nto = 60\nstep = 40\nrepeats = 0\nduration = \"500ms\"\nwarm_up = \"100ms\"\ntimeout = \"10s\"\n";
    let experiment = Experiment {
        iterations: 1,
        loads: ramp.to_owned(),
        ..lab.experiment()
    };
    lab.run(&experiment, 0);
    let run = lab.run_folder();
    let agreed = agree(&run);
    let trial = run.join(&agreed.counted().next().unwrap().folder).join("trial.json");
    let record: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(trial).unwrap()).unwrap();
    // Only failed requests limit it, and there are none, so the last rate is sustained.
    assert_eq!(record["ramp"]["knee"]["rate_per_s"], 60.0, "{}", record["ramp"]);
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(
        report.contains("the highest sustained rate is at least 60 requests"),
        "{report}"
    );
}

#[test]
fn kill_9_of_the_service_under_load() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.write(&lab.experiment().with_loads(&[("r100", 100, 4)]).with_blocks(1));
    let mut controller = lab.controller(&[]);
    controller.wait_for(": load");
    let services = services(&lab);
    assert_eq!(services.len(), 1, "{services:?}");
    kill(services[0], Signal::SIGKILL).unwrap();
    let said = controller.ends_with(0);
    assert!(said.contains("will be retried: "), "{said}");
    let agreed = agree(&lab.run_folder());
    let first = &agreed.attempts[0];
    assert!(!first.counts() && first.number == 1, "{agreed:?}");
    assert!(
        first.reasons.contains("aborted during") && first.reasons.contains("signal 9"),
        "{first:?}"
    );
    let again = agreed.counted().find(|attempt| attempt.trial == first.trial).unwrap();
    assert!(again.number >= 2, "{agreed:?}");
}

/// The services of a lab's runner, identified by their environment.
fn services(lab: &Lab) -> Vec<Pid> {
    let mark = format!("JUNG_RUNNER={}", lab.host);
    let mut found = Vec::new();
    for item in std::fs::read_dir("/proc").unwrap().flatten() {
        let environment = std::fs::read(item.path().join("environ")).unwrap_or_default();
        if environment
            .split(|&byte| byte == 0)
            .any(|entry| entry == mark.as_bytes())
        {
            found.push(Pid::from_raw(item.file_name().to_str().unwrap().parse().unwrap()));
        }
    }
    found
}
