//! Complete runs with containers.

use std::process::Command;

use crate::agree::{agree, journal, json};
use crate::experiment::{Experiment, NATIVE};
use crate::lab::Lab;

const DOCKER: &str = "[[platform]]\nkind = \"docker\"\n";
const PUBLISHED: &str = "[[platform]]\nkind = \"docker\"\nname = \"published\"\npublish = true\n";

/// The output of `docker`. Like the lab's runner, it uses the engine of `DOCKER_HOST`, never the machine's own.
pub fn docker(arguments: &[&str]) -> String {
    let named = std::env::var_os("DOCKER_HOST").is_some();
    assert!(named, "DOCKER_HOST names no engine: see `just test-docker`");
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The containers of a lab's runner, running or not.
pub fn containers(lab: &Lab) -> Vec<String> {
    let filter = format!("label=jung.runner={}", lab.host);
    docker(&["ps", "--all", "--quiet", "--filter", &filter])
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
#[ignore = "needs Docker"]
fn processes_and_containers_in_one_report() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let experiment = lab.experiment().with_platforms(&[NATIVE, DOCKER, PUBLISHED].concat());
    lab.run(&experiment, 0);
    let run = lab.run_folder();
    let agreed = agree(&run);
    assert_eq!(agreed.counted().count(), 6);
    for platform in ["native", "docker", "published"] {
        let requests: u64 = agreed
            .counted()
            .filter(|a| a.platform == platform)
            .map(|a| a.total)
            .sum();
        assert_eq!(requests, 200, "{platform}");
    }
    for attempt in agreed.counted() {
        let record = json(&run.join(&attempt.folder).join("trial.json"));
        let endpoint = record["ready"]["endpoints"][0]["address"].as_str().unwrap();
        let on_the_host = endpoint == format!("127.0.0.1:{}", experiment.port);
        assert_eq!(
            on_the_host,
            attempt.platform != "docker",
            "{endpoint} of {}",
            attempt.folder
        );
        assert!(
            record["resources"][0]["rss_max_bytes"].as_u64().unwrap() > 0,
            "{record}"
        );
    }
    assert_eq!(containers(&lab), Vec::<String>::new());
}

#[test]
#[ignore = "needs Docker"]
fn httperf_measures_a_process_and_containers() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.write(&Experiment {
        platforms: [NATIVE, DOCKER, PUBLISHED].concat(),
        ..lab.experiment().with_loads(&[("r20", 20, 6)]).with_blocks(1)
    });
    let mut controller = lab.controller(&[]);
    for number in 1..=3 {
        controller.wait_for_times(": load", number);
        let started = journal(&lab.run_folder()).pop().unwrap();
        let platform = started["event"]["trial-started"]["key"]["trial"]["cell"]["platform"].clone();
        let host = match platform.as_str().unwrap() {
            "docker" => {
                let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
                docker(&["inspect", "--format", format, &containers(&lab)[0]])
            }
            _ => "127.0.0.1".into(),
        };
        httperf(&host, lab_port(&lab));
    }
    controller.ends_with(0);
    agree(&lab.run_folder());
    assert_eq!(containers(&lab), Vec::<String>::new());
}

/// The service's port in the lab's experiment file.
fn lab_port(lab: &Lab) -> String {
    let text = std::fs::read_to_string(lab.path("e.toml")).unwrap();
    let port = text.lines().find_map(|line| line.strip_prefix("port = "));
    port.unwrap().to_owned()
}

/// Czipri's tool: 200 connections with one request each, 100 per second.
fn httperf(host: &str, port: String) {
    let output = Command::new("httperf")
        .args([
            "--server",
            host,
            "--port",
            &port,
            "--uri",
            "/",
            "--num-conns",
            "200",
            "--rate",
            "100",
            "--timeout",
            "10",
        ])
        .output()
        .expect("httperf is missing (apt-get install httperf)");
    let said = String::from_utf8(output.stdout).unwrap();
    for line in [
        "Total: connections 200 requests 200 replies 200 ",
        "content 1000.0 ",
        "Reply status: 1xx=0 2xx=200 3xx=0 4xx=0 5xx=0",
        "Errors: total 0 client-timo 0 socket-timo 0 connrefused 0 connreset 0",
    ] {
        assert!(said.contains(line), "{host}:{port}: not {line:?} in:\n{said}");
    }
}
