//! Faults during trials with guests: the correct stage and reason, the guest's log, no leftovers, and the next trial unaffected.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use testkit::wait::until;

use crate::agree::{Agreed, agree, agree_so_far, json};
use crate::experiment::{Experiment, NATIVE};
use crate::guest_lab::{assert_nothing_left, describe, linux, platform, tiny};
use crate::jung::pids_of;
use crate::kernel::Kernel;
use crate::lab::Lab;

/// Boot options of the preset `linux`, and a panic if the kernel gets no CPU for seconds. The tick must not stop when idle, because the soft
/// lockup detector ignores sleeping CPUs.
const WATCHFUL: &str = "append = 'console=ttyS0 panic=-1 tsc=reliable no_timer_check quiet nohz=off sysctl.kernel.watchdog_thresh=2 \
     sysctl.kernel.softlockup_panic=1 jung.ip={ip} jung.mask={mask} jung.gateway={gateway} -- {args}'";

/// A guest that does not start, four that fail to come up in different ways, and one that only the deadline ends.
#[test]
#[ignore = "needs QEMU"]
fn guests_that_never_become_ready() {
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
    // Exit code 0 is not expected; whether a busy machine makes the native trial invalid does not matter here.
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
        assert!(log.contains(last_words) && log.len() <= 4096, "log of {guest}: {log}");
    }
    let native = json(&lab.run_folder().join("native.tcp.r100/1-1/trial.json"));
    assert_eq!(native["failure"], Value::Null);
    assert_eq!(native["requests"]["ok"], 100);
    assert_nothing_left(&lab);
}

/// One guest under load; attempts that a fault hits must not count.
fn under_load(lab: &Lab, seconds: u32) -> Experiment {
    let platforms = platform("vm", "linux", "bridge");
    let mut experiment = lab.experiment().with_platforms(&platforms).with_blocks(1);
    experiment.deadlines += "\nready = \"15m\"";
    experiment.with_loads(&[("r20", 20, seconds)])
}

/// The process of the only guest, once it exists.
fn qemu(lab: &Lab) -> Pid {
    process(lab, "qemu-system")
}

/// The first process of the only guest whose name has this prefix, once it exists.
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

/// Keys of a guest with a shared directory, whether it mounts it or not.
fn shared(lab: &Lab) -> String {
    let path = lab.path("shared");
    std::fs::create_dir(&path).unwrap();
    format!("\n[[shares]]\npath = {path:?}\ntag = 'shared'\n")
}

/// Every attempt but the last failed while running, for these reasons in order; the last one counts.
#[track_caller]
fn assert_retried(lab: &Lab, agreed: &Agreed, reasons: &[&str]) {
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
fn a_guest_that_fails_under_load_is_reported_and_retried() {
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
    assert_retried(
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
    assert_nothing_left(&lab);
}

/// The guest has its drivers, except the power button's.
#[test]
#[ignore = "needs QEMU"]
fn a_guest_without_a_power_button_is_killed_and_flagged() {
    let lab = Lab::new();
    linux(&lab, "linux", "load = ['virtio_pci', 'virtio_net']");
    let _runner = lab.runner();
    let mut experiment = under_load(&lab, 1);
    experiment.deadlines += "\ngrace = \"2s\"";
    lab.run_patiently(&experiment, 0);
    let agreed = agree_so_far(&lab.run_folder());
    let counted = agreed.counted().next().unwrap();
    assert_eq!(counted.validity, "suspect");
    assert!(
        counted.reasons.contains("did not terminate within the grace period"),
        "{counted:?}"
    );
    assert_nothing_left(&lab);
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
    assert_nothing_left(&lab);
}
