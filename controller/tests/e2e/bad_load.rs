//! A service that cannot start, and one that dies under load.

use std::net::TcpListener;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::agree::{agree, agree_so_far};
use crate::experiment::Experiment;
use crate::lab::Lab;

#[test]
fn the_port_of_the_service_is_taken_by_another_program() {
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

#[test]
fn kill_9_of_the_service_in_the_middle_of_a_load() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.write(&lab.experiment().with_loads(&[("r100", 100, 4)]));
    let mut controller = lab.controller(&[]);
    controller.wait_for(": load");
    let services = services(&lab);
    assert_eq!(services.len(), 1, "{services:?}");
    kill(services[0], Signal::SIGKILL).unwrap();
    let said = controller.ends_with(0);
    assert!(said.contains("to be tried again: "), "{said}");
    let agreed = agree(&lab.run_folder());
    let first = &agreed.attempts[0];
    assert!(!first.counts() && first.number == 1, "{agreed:?}");
    assert!(
        first.reasons.contains("broke off") && first.reasons.contains("signal 9"),
        "{first:?}"
    );
    let again = agreed.counted().find(|attempt| attempt.trial == first.trial).unwrap();
    assert!(again.number >= 2, "{agreed:?}");
}

/// The services of a lab's runner, by the mark in their environment.
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
