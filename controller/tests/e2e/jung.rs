//! The complete Jung workload: deployed, seeded, loaded and checked by the real programs.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use testkit::free_port;
use testkit::wait::until;

use crate::agree::{agree, json};
use crate::docker::containers;
use crate::experiment::{Experiment, NATIVE};
use crate::lab::Lab;

const DOCKER: &str = "[[platform]]\nkind = \"docker\"\n";

/// Five users with four devices each send 40 requests each.
const LOAD: &str = "[[load]]\nkind = \"users\"\nname = \"u5\"\nusers = 5\nrequests = 40\ntimeout = \"60s\"\n";

/// The services of the workload, and the broker.
const SERVICES: [&str; 9] = [
    "api-gateway",
    "auth-manager",
    "device-commander",
    "device-gateway",
    "device-monitor",
    "device-registry",
    "kafka",
    "rule-engine",
    "user-registry",
];

/// A small experiment with Jung; `more` are further keys of the workload.
fn experiment(lab: &Lab, platforms: &str, more: &str) -> Experiment {
    let kafka_port = loop {
        let port = free_port();
        // The broker uses the next port.
        if free_port() == port + 1 {
            break port;
        }
    };
    let workload = format!(
        "[[workload]]\nkind = \"jung\"\nusers = 5\ndevices = 4\nreadings = 3\nget_user = 10\nget_device = 10\nget_readings = 10\n\
         post_command = 10\nport = {}\ndevice_port = {}\nkafka_port = {kafka_port}\nreply_timeout = \"50s\"\n{more}\n",
        free_port(),
        free_port()
    );
    let mut experiment = lab.experiment().with_platforms(platforms).with_blocks(1);
    experiment.workload = Some(workload);
    experiment.loads = LOAD.to_owned();
    experiment
}

/// In every attempt that counts, all requests succeeded, all services were measured, and the readback found no violation.
fn assert_whole(run: &Path, platforms: &[&str]) -> Vec<Value> {
    let agreed = agree(run);
    let records: Vec<Value> = agreed
        .counted()
        .map(|attempt| json(&run.join(&attempt.folder).join("trial.json")))
        .collect();
    assert_eq!(records.len(), platforms.len());
    for record in &records {
        assert_eq!(record["requests"]["ok"], 200, "{record}");
        assert!(record["ready"]["seed_ns"].as_u64().unwrap() > 0);
        let labels: Vec<_> = record["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| (&l["name"], &l["total"]))
            .collect();
        assert_eq!(format!("{labels:?}").matches("Number(50)").count(), 4, "{labels:?}");
        let mut services: Vec<_> = record["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|used| used["service"].as_str().unwrap())
            .collect();
        services.sort_unstable();
        services.dedup();
        for service in SERVICES {
            assert!(services.contains(&service), "{service} in {services:?}");
        }
        let checks = record["truth"]["checks"].as_array().unwrap();
        let commands = checks
            .iter()
            .find(|check| check["what"].as_str().unwrap().contains("reached their device"));
        assert_eq!(commands.unwrap()["checked"], 50, "{checks:?}");
        assert_eq!(commands.unwrap()["wrong"], 0, "{checks:?}");
        assert_eq!(record["summary"]["teardown"]["leftovers"].as_array().unwrap().len(), 0);
    }
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    for part in [
        "### By service",
        "kafka (auxiliary)",
        "### By request",
        "POST command",
        "### Readback",
        "### Size on disk",
    ] {
        assert!(report.contains(part), "{part} in\n{report}");
    }
    records
}

#[test]
fn jung_as_processes_over_jungs_broker() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.run(&experiment(&lab, NATIVE, ""), 0);
    assert_whole(&lab.run_folder(), &["native"]);
}

#[test]
#[ignore = "needs Docker"]
fn jung_in_containers_with_auxiliary_gateways() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.run(&experiment(&lab, &[NATIVE, DOCKER].concat(), ""), 0);
    let records = assert_whole(&lab.run_folder(), &["native", "docker"]);
    let docker = records
        .iter()
        .find(|record| record["key"]["trial"]["cell"]["platform"] == "docker")
        .unwrap();
    let beside: Vec<_> = docker["beside"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(beside, ["api-gateway", "device-gateway", "kafka"]);
    assert_eq!(containers(&lab), Vec::<String>::new());
}

#[test]
#[ignore = "needs Docker and Apache Kafka"]
fn jung_over_apache_kafka() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let platforms = [NATIVE, DOCKER, "publish = true\n"].concat();
    let mut experiment = experiment(&lab, &platforms, "kafka = \"apache\"\nbeside = [\"device-gateway\"]\n");
    experiment.deadlines.push_str("\nready = \"3m\"");
    lab.run(&experiment, 0);
    for record in assert_whole(&lab.run_folder(), &["native", "docker"]) {
        let used = record["resources"].as_array().unwrap();
        let kafka = used.iter().find(|used| used["service"] == "kafka").unwrap();
        assert!(
            kafka["rss_mean_bytes"].as_f64().unwrap() > 100e6,
            "it is a JVM: {kafka}"
        );
    }
    assert_eq!(containers(&lab), Vec::<String>::new());
}

#[test]
fn a_killed_instance_is_reported_and_the_trial_retried() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let mut experiment = experiment(&lab, NATIVE, "instances = { auth-manager = 2 }\n");
    // Long enough to be killed during the load.
    experiment.loads = LOAD.replace("= 40", "= 2000");
    lab.write(&experiment);
    let mut controller = lab.controller(&[]);
    controller.wait_for(": load");
    let mut found = None;
    until("the second auth manager is found", || {
        found = pid_of(&lab.host, "auth-manager-2");
        found.is_some()
    });
    kill(Pid::from_raw(found.unwrap()), Signal::SIGKILL).unwrap();
    controller.ends_with(0);
    let run = lab.run_folder();
    let agreed = agree(&run);
    let first = json(&run.join("native.jung.u5/1-1/trial.json"));
    assert_eq!(first["verdict"]["validity"], "invalid");
    let why = first["failure"]["why"].as_str().unwrap();
    assert!(why.contains("auth-manager-2") && why.contains("signal 9"), "{why}");
    let second = agreed.counted().next().unwrap();
    let record = json(&run.join(&second.folder).join("trial.json"));
    let named = |name: &str| {
        record["resources"]
            .as_array()
            .unwrap()
            .iter()
            .any(|used| used["service"] == name)
    };
    assert!(named("auth-manager") && named("auth-manager-2"), "{record}");
}

#[test]
fn a_failed_seeding_is_reported_and_leaves_nothing() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let mut experiment = experiment(&lab, NATIVE, "");
    experiment.max_attempts = 1;
    // Too many for the deadline.
    experiment.workload = experiment
        .workload
        .map(|text| text.replace("users = 5", "users = 2000"));
    experiment.deadlines.push_str("\nseed = \"500ms\"");
    lab.write(&experiment);
    lab.controller(&[]).end();
    let record = json(&lab.run_folder().join("native.jung.u5/1-1/trial.json"));
    assert_eq!(record["failure"]["stage"], "runner, seed", "{record}");
    for service in SERVICES {
        assert_eq!(pid_of(&lab.host, service), None, "{service}");
    }
}

/// The process of a service started by the runner of this name.
pub fn pid_of(runner: &str, service: &str) -> Option<i32> {
    pids_of(runner, service).first().copied()
}

/// All processes of a service started by the runner of this name.
pub fn pids_of(runner: &str, service: &str) -> Vec<i32> {
    let bears = |environ: &[u8], key: &str, value: &str| {
        let entry = format!("{key}={value}");
        environ.split(|&byte| byte == 0).any(|found| found == entry.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        bears(&environ, "JUNG_RUNNER", runner) && bears(&environ, "JUNG_SERVICE", service)
    })
    .collect()
}
