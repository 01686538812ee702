//! The broker is killed and restarted during a trial: no message is lost or duplicated.

use std::time::Duration;

use testkit::wait::until;

use crate::agree::agree;
use crate::experiment::Experiment;
use crate::lab::Lab;

/// How long the broker is down.
const AWAY: Duration = Duration::from_secs(2);

fn experiment(lab: &Lab, seconds: u32) -> Experiment {
    lab.experiment_over(&lab.broker).with_loads(&[("r100", 100, seconds)])
}

/// Runs two trials and restarts the broker during the load of the first.
fn broker_comes_back(arguments: &[&str]) {
    let lab = Lab::new();
    let mut broker = lab.broker(arguments);
    let _runner = lab.runner();
    lab.write(&experiment(&lab, 5));
    let mut controller = lab.controller(&[]);
    controller.wait_for(": load");
    broker.kill();
    std::thread::sleep(AWAY);
    let _broker = lab.broker(arguments);
    controller.ends_with(0);
    let agreed = agree(&lab.run_folder());
    assert_eq!(agreed.counted().map(|attempt| attempt.total).sum::<u64>(), 2 * 500);
}

#[test]
fn kill_9_of_the_broker_under_load() {
    broker_comes_back(&[]);
}

#[test]
fn kill_9_of_a_broker_that_syncs_every_write() {
    broker_comes_back(&["--fsync", "always"]);
}

#[test]
fn a_broker_outage_longer_than_the_lease_costs_one_attempt() {
    let lab = Lab::new();
    let mut broker = lab.broker(&[]);
    let _runner = lab.runner();
    let experiment = Experiment {
        deadlines: "answer = \"60s\"\nlease = \"2s\"".into(),
        ..experiment(&lab, 6).with_blocks(1)
    };
    lab.write(&experiment);
    let mut controller = lab.controller(&[]);
    controller.wait_for(": load");
    broker.kill();
    until("the runner ends the attempt by its lease", || {
        std::net::TcpStream::connect(("127.0.0.1", experiment.port)).is_err()
    });
    let _broker = lab.broker(&[]);
    controller.ends_with(0);
    let agreed = agree(&lab.run_folder());
    assert!(!agreed.attempts[0].counts(), "{agreed:?}");
    assert!(agreed.attempts[0].reasons.contains("aborted during"), "{agreed:?}");
    assert_eq!(agreed.counted().count(), 1);
}
