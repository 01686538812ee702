//! Resuming an interrupted run.

use nix::sys::signal::Signal;
use testkit::wait::until;

use crate::agree::{agree, agree_so_far, journal};
use crate::experiment::Experiment;
use crate::lab::Lab;

/// Three trials of three seconds: one that is complete, one that is cut short, and one that has not begun.
fn experiment(lab: &Lab) -> Experiment {
    Experiment {
        deadlines: "answer = \"60s\"\nlease = \"3s\"".into(),
        ..lab.experiment().with_loads(&[("r100", 100, 3)]).with_blocks(3)
    }
}

/// The name of the existing run, to resume it.
fn resume(lab: &Lab) -> String {
    let run = lab.run_folder();
    let name = run.file_name().unwrap().to_str().unwrap();
    lab.controller(&["--resume", name]).ends_with(0)
}

#[test]
fn resume_after_ctrl_c_under_load() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.write(&experiment(&lab));
    let mut controller = lab.controller(&[]);
    controller.wait_for_times(": load", 2);
    controller.signal(Signal::SIGINT);
    let said = controller.ends_with(130);
    assert!(
        said.contains("interrupted; resume with: controller --config e.toml --resume "),
        "{said}"
    );
    let run = lab.run_folder();
    let before = agree_so_far(&run);
    assert!(
        before.begun > before.attempts.len(),
        "no attempt was cut short: {before:?}"
    );
    assert!(before.counted().count() < 3, "{before:?}");
    resume(&lab);
    let after = agree(&run);
    assert_eq!(after.counted().count(), 3);
    assert_eq!(events(&lab, "run-resumed"), 1);
    // Attempts completed before are unchanged.
    for (old, new) in before.attempts.iter().zip(&after.attempts) {
        assert_eq!(old.folder, new.folder);
    }
}

#[test]
fn resume_after_kill_9_under_load() {
    let lab = Lab::new();
    let mut runner = lab.runner();
    let experiment = experiment(&lab);
    lab.write(&experiment);
    let mut controller = lab.controller(&[]);
    controller.wait_for_times(": load", 2);
    assert!(is_open(experiment.port), "the service is there");
    controller.kill();
    until("the runner ends the attempt by its lease", || !is_open(experiment.port));
    assert!(runner.runs());
    resume(&lab);
    let run = lab.run_folder();
    let agreed = agree(&run);
    assert_eq!(agreed.counted().count(), 3);
    assert!(agreed.begun > agreed.attempts.len(), "{agreed:?}");
    assert_eq!(events(&lab, "run-resumed"), 1);
}

#[test]
fn resume_immediately_after_kill_9() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.write(&Experiment {
        deadlines: "answer = \"60s\"\nlease = \"120s\"".into(),
        ..experiment(&lab)
    });
    let mut controller = lab.controller(&[]);
    controller.wait_for_times(": load", 2);
    controller.kill();
    // The dead controller's lease is long; the runner must obey the newer one of the same name.
    resume(&lab);
    assert_eq!(agree(&lab.run_folder()).counted().count(), 3);
}

fn is_open(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn events(lab: &Lab, word: &str) -> usize {
    let entries = journal(&lab.run_folder());
    entries
        .iter()
        .filter(|entry| entry["event"].get(word).is_some())
        .count()
}
