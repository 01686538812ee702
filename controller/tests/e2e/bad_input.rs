//! Peers that are unreachable, of the wrong kind, or unauthorised.

use std::net::TcpListener;

use crate::agree::agree;
use crate::experiment::Experiment;
use crate::lab::{Lab, program};
use testkit::free_port;

#[test]
fn no_broker() {
    let lab = Lab::new();
    let nowhere = format!("127.0.0.1:{}", free_port());
    let said = lab.run(&lab.experiment_over(&nowhere), 4);
    assert!(said.contains(&nowhere), "{said}");
    lab.assert_no_run();
}

#[test]
fn the_address_of_the_embedded_broker_is_in_use() {
    let lab = Lab::new();
    let _other = TcpListener::bind(&lab.broker).unwrap();
    let said = lab.run(&lab.experiment(), 4);
    assert!(said.contains("the embedded broker cannot be started"), "{said}");
    assert!(
        said.contains(&lab.broker) && said.contains("set `listen` in [kafka]"),
        "{said}"
    );
}

#[test]
fn no_runner() {
    let lab = Lab::new();
    let said = lab.run(&with_short_timeout(lab.experiment()), 5);
    assert!(
        said.contains(&format!("the runner of host {} does not answer DESCRIBE", lab.host)),
        "{said}"
    );
    assert!(
        said.contains("nothing arrived on topic") && said.contains("start `runner --config"),
        "{said}"
    );
}

#[test]
fn a_second_controller_is_refused() {
    let lab = Lab::new();
    let _broker = lab.broker(&[]);
    let _runner = lab.runner();
    let experiment = lab.experiment_over(&lab.broker).with_loads(&[("r100", 100, 5)]);
    lab.write(&experiment.with_blocks(1));
    let mut first = lab.controller(&[]);
    first.wait_for(": load");
    let toml = std::fs::read_to_string(lab.path("e.toml")).unwrap();
    let toml = toml
        .replace("controller = \"of-", "controller = \"not-of-")
        .replace("\"small\"", "\"second\"");
    std::fs::write(lab.path("second.toml"), toml).unwrap();
    let second = program("controller")
        .args(["--config", "second.toml"])
        .current_dir(lab.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(5), "{said}");
    assert!(
        said.contains("refuses: ") && said.contains(&format!("of-{}", lab.host)),
        "{said}"
    );
    first.ends_with(0);
    let agreed = agree(&lab.run_folder());
    assert_eq!(agreed.counted().map(|attempt| attempt.total).sum::<u64>(), 500);
}

#[test]
fn keys_must_match() {
    let lab = Lab::new();
    for (name, key) in [
        ("right.key", "0123456789abcdef0123"),
        ("wrong.key", "fedcba98765432100123"),
    ] {
        std::fs::write(lab.path(name), key).unwrap();
    }
    let mut command = lab.runner_command();
    command.env("JUNG_RUNNER__KEY_FILE", lab.path("right.key"));
    let _broker = lab.broker(&[]);
    let mut runner = lab.runner_with(command);
    runner.wait_for("serving");
    let without_key = lab.experiment_over(&lab.broker);
    let with_key = |name: &str| Experiment {
        kafka: format!("{}\nkey_file = \"{name}\"", without_key.kafka),
        ..without_key.clone()
    };
    let said = lab.run(&with_short_timeout(with_key("wrong.key")), 5);
    assert!(
        said.contains("does not answer") && said.contains("are signed with another key"),
        "{said}"
    );
    runner.wait_for("is signed with another key: set the same key on controller, runners and loaders");
    let said = lab.run(&with_short_timeout(without_key.clone()), 5);
    assert!(
        said.contains("it refuses this controller's commands")
            && said.contains("is not signed, and `key_file` is set here"),
        "{said}"
    );
    lab.run(&with_key("right.key").with_blocks(1), 0);
    assert_eq!(agree(&lab.run_folder()).counted().count(), 1);
}

/// Shortens the timeout for an answer. The connection to the broker is established before.
fn with_short_timeout(experiment: Experiment) -> Experiment {
    Experiment {
        deadlines: "runner = \"3s\"\nanswer = \"60s\"".into(),
        ..experiment
    }
}
