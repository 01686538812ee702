//! Complete runs with container runtimes other than Docker's default.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::agree::{Agreed, agree, json};
use crate::experiment::NATIVE;
use crate::lab::{Lab, started_by};

const LXC: &str = "[[platform]]\nkind = \"lxc\"\n";

#[test]
#[ignore = "needs LXC and root"]
fn a_process_and_a_container_of_lxc_in_one_report() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let experiment = lab.experiment().with_platforms(&[NATIVE, LXC].concat());
    lab.run(&experiment, 0);
    let agreed = agree(&lab.run_folder());
    assert_eq!(agreed.counted().count(), 4);
    assert_overhead(&lab, &agreed, "lxc", &["lxc-start"]);
    assert!(!lab.path("state/lxc/containers").read_dir().unwrap().any(|_| true));
}

#[test]
#[ignore = "needs Docker, Podman, crun and root"]
fn an_engine_is_overhead_of_its_own_containers_only() {
    let lab = Lab::new();
    let docker = Engine::start("docker", &lab.path("d"), None);
    let podman = Engine::start("podman", &lab.path("p"), Some(&docker.netns));
    let within = ["nsenter", &format!("--net={}", docker.netns)];
    let _runner = lab.runner_with(started_by(&within, &lab.runner_command()));
    let platforms = format!(
        "[[platform]]\nkind = \"docker\"\nname = \"crun\"\nruntime = \"crun\"\nsocket = \"{}\"\n\
         [[platform]]\nkind = \"docker\"\nname = \"podman\"\nengine = \"podman\"\nsocket = \"{}\"\n",
        docker.socket, podman.socket
    );
    lab.write(&lab.experiment().with_platforms(&platforms).with_blocks(1));
    let mut controller = lab.controller_with(started_by(&within, &lab.controller_command(&[])));
    controller.ends_with(0);
    let agreed = agree(&lab.run_folder());
    assert_eq!(agreed.counted().count(), 2);
    assert_overhead(&lab, &agreed, "crun", &["containerd", "containerd-shim", "dockerd"]);
    assert_overhead(&lab, &agreed, "podman", &["conmon", "podman"]);
}

/// A separate engine for the test (`deploy/docker/engine.sh`), removed with all its containers on drop.
struct Engine {
    dir: PathBuf,
    netns: String,
    socket: String,
}

impl Engine {
    /// Starts an engine, in a network namespace of its own or in this one.
    fn start(kind: &str, dir: &Path, netns: Option<&str>) -> Self {
        let mut command = Self::script();
        command.args(["start", kind, "--dir"]).arg(dir);
        if let Some(netns) = netns {
            command.args(["--netns", netns]);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        let [netns, socket] = lines[..] else {
            panic!("{kind}: {said}{}", String::from_utf8_lossy(&output.stderr));
        };
        Self {
            dir: dir.to_owned(),
            netns: netns.to_owned(),
            socket: socket.to_owned(),
        }
    }

    fn script() -> Command {
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/docker/engine.sh"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = Self::script().args(["stop", "--dir"]).arg(&self.dir).status();
    }
}

/// Every trial on a platform has exactly these overhead processes, each once.
pub fn assert_overhead(lab: &Lab, agreed: &Agreed, platform: &str, parts: &[&str]) {
    for attempt in agreed.counted().filter(|attempt| attempt.platform == platform) {
        assert_eq!((attempt.total, attempt.ok), (100, 100), "{}", attempt.folder);
        let folder = lab.run_folder().join(&attempt.folder);
        let record = json(&folder.join("trial.json"));
        assert!(
            record["resources"][0]["rss_max_bytes"].as_u64().unwrap() > 0,
            "{record}"
        );
        let samples = std::fs::read_to_string(folder.join("samples.csv")).unwrap();
        let rows = samples.lines().map(|row| row.split(',').collect::<Vec<_>>());
        let found: BTreeSet<String> = rows
            .filter(|row| row[2] == "platform")
            .map(|row| row[4].to_owned())
            .collect();
        assert_eq!(
            found,
            parts.iter().map(ToString::to_string).collect(),
            "{}",
            attempt.folder
        );
    }
}
