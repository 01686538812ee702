//! Complete runs over Apache Kafka.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::free_port;

use crate::agree::agree;
use crate::lab::Lab;

/// The address of Apache Kafka.
const VARIABLE: &str = "JUNG_TEST_KAFKA";

#[test]
#[ignore = "needs Apache Kafka"]
fn a_run_over_apache_kafka() {
    let brokers = std::env::var(VARIABLE).unwrap_or_else(|_| panic!("{VARIABLE}=host:port is not set: see test.sh"));
    let mut lab = Lab::new();
    lab.broker.clone_from(&brokers);
    let _runner = lab.runner();
    let loads = [("r100", 100, 1), ("r150", 150, 2)];
    lab.run(&lab.experiment_over(&brokers).with_loads(&loads), 0);
    let agreed = agree(&lab.run_folder());
    let requests: u64 = agreed.counted().map(|attempt| attempt.total).sum();
    assert_eq!(requests, 2 * (100 + 300));
    let said = lab.controller(&["ping", "--count", "200"]).ends_with(0);
    assert!(said.contains("200 round trips") && said.contains("p99"), "{said}");
    println!("{said}");
}

#[test]
#[ignore = "needs Apache Kafka"]
fn kill_9_of_apache_kafka_under_load() {
    let mut lab = Lab::new();
    let kafka = Kafka::start(&lab.path("kafka"));
    lab.broker.clone_from(&kafka.address);
    let _runner = lab.runner();
    lab.write(&lab.experiment_over(&kafka.address).with_loads(&[("r100", 100, 5)]));
    let mut controller = lab.controller(&[]);
    controller.wait_for(": load");
    kafka.kill();
    kafka.restart();
    controller.ends_with(0);
    let agreed = agree(&lab.run_folder());
    assert_eq!(agreed.counted().map(|attempt| attempt.total).sum::<u64>(), 2 * 500);
}

/// A separate Apache Kafka for the test.
struct Kafka {
    folder: PathBuf,
    address: String,
}

impl Kafka {
    fn start(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            address: script(&["start", "--port", &free_port().to_string()], folder),
        }
    }

    /// Kills it, and waits until it is gone: a JVM takes a moment, during which the script would take it for running.
    fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.join("1/pid")).unwrap();
        let pid = pid.trim().parse().unwrap();
        testkit::process::kill(pid, nix::sys::signal::Signal::SIGKILL);
        testkit::wait::until("the end of Kafka", || !testkit::process::is_alive(pid));
    }

    /// Restarts it with the same port and files.
    fn restart(&self) {
        let (_, port) = self.address.split_once(':').unwrap();
        assert_eq!(script(&["start", "--port", port], &self.folder), self.address);
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        script(&["stop"], &self.folder);
    }
}

/// Runs `deploy/kafka/kafka.sh`; returns the last line of its output.
fn script(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kafka/kafka.sh"))
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .env("KAFKA_HEAP", "256m")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().last().unwrap_or_default().to_owned()
}
