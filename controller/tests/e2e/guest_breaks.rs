//! Guests, and what breaks: the right stage, the right reason, their last words, nothing left, and the next trial unharmed.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::agree::{Agreed, agree, agree_so_far, json};
use crate::experiment::{Experiment, NATIVE};
use crate::guest_lab::{describe, linux, nothing_left, platform, tiny};
use crate::jung::pids_of;
use crate::kernel::Kernel;
use crate::lab::Lab;
use crate::process::until;

/// What the preset `linux` boots with, and that a kernel which was kept from its CPU for seconds panics. It must not stop its tick when idle: one that
/// slept does not take offence.
const WATCHFUL: &str = "append = 'console=ttyS0 panic=-1 tsc=reliable no_timer_check quiet nohz=off sysctl.kernel.watchdog_thresh=2 \
     sysctl.kernel.softlockup_panic=1 jung.ip={ip} jung.mask={mask} jung.gateway={gateway} -- {args}'";

/// One that is not started, and four that do not come up, each in its own way, and one that only the deadline ends.
#[test]
#[ignore = "needs QEMU"]
fn guests_that_never_serve() {
    let lab = Lab::new();
    let guests = [
        ("mute", Kernel::default().say("up\nno more\n").spin(), "bridge"),
        ("babble", Kernel::default().say("up\n").babble(), "user"),
        ("panics", Kernel::default().say("PANIC: no disk\n").halt(), "bridge"),
        ("off", Kernel::default().say("nothing to do\n").power_off(), "user"),
        ("faults", Kernel::default().say("up\n").triple_fault(), "bridge"),
    ];
    let mut platforms = NATIVE.to_owned() + &platform("none", "none", "bridge");
    for (name, kernel, network) in &guests {
        tiny(&lab, name, kernel);
        platforms += &platform(name, name, network);
    }
    let nonsense = lab.path("none.kernel");
    std::fs::write(&nonsense, "no kernel at all").unwrap();
    describe(&lab, "none", &format!("kernel = {nonsense:?}\nready = '^up$'\n"));
    let _runner = lab.runner();
    let mut experiment = lab.experiment().with_platforms(&platforms).with_blocks(1);
    experiment.max_attempts = 1;
    experiment.deadlines += "\nready = \"4s\"\ngrace = \"1s\"";
    lab.write(&experiment);
    // 0 does not come about; whether a busy machine spoils the native trial is not what is asked here.
    lab.controller(&[]).patiently().ends_with(8);

    for (guest, stage, why, last_words) in [
        ("none", "start", "invalid kernel header", "invalid kernel header"),
        ("mute", "ready", "did not reply correctly within", "no more\n"),
        ("babble", "ready", "did not reply correctly within", "xxxxxxxx"),
        ("panics", "ready", "the guest crashed", "PANIC: no disk"),
        ("off", "ready", "exit code 0", "nothing to do\n"),
        ("faults", "ready", "the guest crashed", "triple fault"),
    ] {
        let attempt = lab.run_folder().join(format!("{guest}.tcp.r100/1-1"));
        let record = json(&attempt.join("trial.json"));
        let failure = &record["failure"];
        assert_eq!(failure["stage"], format!("runner, {stage}"), "{guest}: {failure}");
        assert!(failure["why"].as_str().unwrap().contains(why), "{guest}: {failure}");
        let log = std::fs::read_to_string(attempt.join("log/tcp.log")).unwrap();
        assert!(
            log.contains(last_words) && log.len() <= 4096,
            "{guest} said last: {log}"
        );
    }
    let native = json(&lab.run_folder().join("native.tcp.r100/1-1/trial.json"));
    assert_eq!(native["failure"], Value::Null);
    assert_eq!(native["requests"]["ok"], 100);
    nothing_left(&lab);
}

/// One guest under load; what is done to it in its first attempts must not count.
fn under_load(lab: &Lab, seconds: u32) -> Experiment {
    let platforms = platform("vm", "linux", "bridge");
    let mut experiment = lab.experiment().with_platforms(&platforms).with_blocks(1);
    experiment.deadlines += "\nready = \"15m\"";
    experiment.with_loads(&[("r20", 20, seconds)])
}

/// The process of the only guest, once it is there.
fn qemu(lab: &Lab) -> Pid {
    process(lab, "qemu-system")
}

/// The first process of the only guest with a name that begins so, once it is there.
fn process(lab: &Lab, name: &str) -> Pid {
    let mut found = None;
    until(&format!("{name} is found"), || {
        let is_it = |pid: &i32| {
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            comm.starts_with(name)
        };
        found = pids_of(&lab.host, "tcp").into_iter().find(is_it);
        found.is_some()
    });
    Pid::from_raw(found.unwrap())
}

/// Keys of a guest that a directory is shared with, whether it mounts it or not.
fn shared(lab: &Lab) -> String {
    let path = lab.path("shared");
    std::fs::create_dir(&path).unwrap();
    format!("\n[[shares]]\npath = {path:?}\ntag = 'shared'\n")
}

/// Every attempt before the last has failed while it ran, for these reasons in turn; the last counts.
#[track_caller]
fn assert_tried_again(lab: &Lab, agreed: &Agreed, reasons: &[&str]) {
    for (attempt, reason) in agreed.attempts.iter().zip(reasons) {
        assert!(!attempt.counts(), "{attempt:?}");
        let record = json(&lab.run_folder().join(&attempt.folder).join("trial.json"));
        let failure = &record["failure"];
        assert_eq!(failure["stage"], "runner, running", "{failure}");
        assert!(failure["why"].as_str().unwrap().contains(reason), "{failure}");
    }
    assert!(agreed.attempts.len() > reasons.len());
    assert_eq!(agreed.counted().count(), 1);
}

#[test]
#[ignore = "needs QEMU"]
fn one_that_panics_or_is_killed_or_served_no_more_in_mid_load_is_told_and_tried_again() {
    let lab = Lab::new();
    linux(&lab, "linux", &(WATCHFUL.to_owned() + &shared(&lab)));
    let _runner = lab.runner();
    lab.write(&under_load(&lab, 12));
    let mut controller = lab.controller(&[]).patiently();
    controller.wait_for_times(": load", 1);
    let first = qemu(&lab);
    kill(first, Signal::SIGSTOP).unwrap();
    std::thread::sleep(Duration::from_secs(6));
    kill(first, Signal::SIGCONT).unwrap();
    controller.wait_for_times(": load", 2);
    kill(qemu(&lab), Signal::SIGKILL).unwrap();
    controller.wait_for_times(": load", 3);
    kill(process(&lab, "virtiofsd"), Signal::SIGKILL).unwrap();
    controller.ends_with(0);
    let agreed = agree(&lab.run_folder());
    assert_tried_again(
        &lab,
        &agreed,
        &[
            "the guest crashed",
            "signal 9",
            "virtiofsd, which serves its guest a directory, exited",
        ],
    );
    let log = lab.run_folder().join(&agreed.attempts[0].folder).join("log/tcp.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("Kernel panic - not syncing: softlockup"), "{log}");
    let log = lab.run_folder().join(&agreed.attempts[2].folder).join("log/tcp.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("virtiofsd of share \"shared\" ended"), "{log}");
    nothing_left(&lab);
}

/// Its drivers are there, but for that of the power button.
#[test]
#[ignore = "needs QEMU"]
fn one_that_knows_no_power_button_is_killed_and_said_to_be() {
    let lab = Lab::new();
    linux(&lab, "linux", "load = ['virtio_pci', 'virtio_net']");
    let _runner = lab.runner();
    let mut experiment = under_load(&lab, 1);
    experiment.deadlines += "\ngrace = \"2s\"";
    lab.run_patiently(&experiment, 0);
    let agreed = agree_so_far(&lab.run_folder());
    let counted = agreed.counted().next().unwrap();
    assert_eq!(counted.validity, "suspect");
    assert!(counted.reasons.contains("did not end when asked"), "{counted:?}");
    nothing_left(&lab);
}

#[test]
#[ignore = "needs QEMU"]
fn kill_9_of_the_runner_while_a_guest_runs() {
    let lab = Lab::new();
    linux(&lab, "linux", &shared(&lab));
    let mut runner = lab.runner();
    lab.write(&under_load(&lab, 4));
    let mut controller = lab.controller(&[]).patiently();
    controller.wait_for(": load");
    let left = [qemu(&lab), process(&lab, "virtiofsd")];
    runner.kill();
    let alive = |pid: &Pid| pids_of(&lab.host, "tcp").contains(&pid.as_raw());
    assert!(left.iter().all(alive), "they outlive their runner");
    let mut runner = lab.runner();
    runner.wait_for("serving");
    assert!(!left.iter().any(alive), "the next runner kills them before it serves");
    controller.ends_with(0);
    let agreed = agree(&lab.run_folder());
    assert!(!agreed.attempts[0].counts(), "{agreed:?}");
    nothing_left(&lab);
}
