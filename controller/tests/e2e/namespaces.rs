//! Two machines: controller and runner in network namespaces connected by a veth pair.

use std::process::Command;

use testkit::process::Running;

use crate::agree::{agree, json};
use crate::experiment::Experiment;
use crate::lab::{Lab, started_by};

/// The two ends of the link (addresses of RFC 2544 for benchmarks).
const CONTROLLER: &str = "198.18.0.1";
const RUNNER: &str = "198.18.0.2";
/// An address of the runner's machine without a route from the controller.
const BEHIND: &str = "203.0.113.7";

/// Two namespaces and their link, removed on drop.
struct Cable {
    /// Of the controller and of the runner.
    ends: [String; 2],
}

impl Cable {
    fn new(lab: &Lab) -> Self {
        let ends = ["c", "r"].map(|end| format!("{}-{end}", lab.host));
        let cable = Self { ends };
        let [controller, runner] = &cable.ends;
        for (end, address) in [(controller, CONTROLLER), (runner, RUNNER)] {
            ip(&["netns", "add", end]);
            ip(&["-n", end, "link", "set", "lo", "up"]);
            if end == runner {
                ip(&[
                    "-n", end, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", controller,
                ]);
                ip(&["-n", controller, "link", "set", "cable", "up"]);
                ip(&[
                    "-n",
                    controller,
                    "address",
                    "add",
                    &format!("{CONTROLLER}/30"),
                    "dev",
                    "cable",
                ]);
                ip(&["-n", end, "link", "set", "cable", "up"]);
                ip(&["-n", end, "address", "add", &format!("{address}/30"), "dev", "cable"]);
                ip(&["-n", end, "address", "add", &format!("{BEHIND}/32"), "dev", "lo"]);
            }
        }
        cable
    }

    fn within(&self, end: usize, command: &Command) -> Command {
        started_by(&["nsenter", &format!("--net=/run/netns/{}", self.ends[end])], command)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in &self.ends {
            let _ = Command::new("ip").args(["netns", "delete", end]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
}

/// A lab of two machines; the embedded broker is on the controller's.
fn lab() -> (Lab, Cable, Experiment) {
    let mut lab = Lab::new();
    let cable = Cable::new(&lab);
    lab.broker = format!("{CONTROLLER}:9092");
    let experiment = Experiment {
        kafka: format!(
            "brokers = \"embedded\"\nlisten = \"0.0.0.0:9092\"\nadvertise = \"{}\"\nprefix = \"{}\"",
            lab.broker,
            lab.prefix()
        ),
        ..lab.experiment()
    };
    (lab, cable, experiment)
}

fn runner(lab: &Lab, cable: &Cable, address: &str) -> Running {
    let mut command = lab.runner_command();
    command.args(["--address", address]);
    lab.runner_with(cable.within(1, &command))
}

#[test]
#[ignore = "needs root"]
fn two_machines_with_a_link_between_them() {
    let (lab, cable, experiment) = lab();
    let _runner = runner(&lab, &cable, RUNNER);
    lab.write(&experiment);
    lab.controller_with(cable.within(0, &lab.controller_command(&[])))
        .ends_with(0);
    let run = lab.run_folder();
    let agreed = agree(&run);
    assert_eq!(agreed.counted().map(|attempt| attempt.total).sum::<u64>(), 200);
    for attempt in agreed.counted() {
        let record = json(&run.join(&attempt.folder).join("trial.json"));
        let endpoint = record["ready"]["endpoints"][0]["address"].as_str().unwrap();
        assert_eq!(endpoint, format!("{RUNNER}:{}", experiment.port));
    }
}

#[test]
#[ignore = "needs root"]
fn a_service_that_the_load_cannot_reach() {
    let (lab, cable, experiment) = lab();
    let _runner = runner(&lab, &cable, BEHIND);
    lab.write(&Experiment {
        max_attempts: 2,
        iterations: 1,
        ..experiment
    });
    let mut controller = lab.controller_with(cable.within(0, &lab.controller_command(&[])));
    let said = controller.ends_with(8);
    assert!(said.contains(&format!("from here {BEHIND}:")), "{said}");
    assert!(said.contains("set the runner's `address`"), "{said}");
    let agreed = crate::agree::agree_so_far(&lab.run_folder());
    assert_eq!(agreed.attempts.len(), 2);
    assert!(
        agreed
            .attempts
            .iter()
            .all(|attempt| attempt.reasons.contains("cannot be reached"))
    );
}
