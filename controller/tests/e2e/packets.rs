//! Complete runs with packet streams.

use serde_json::Value;
use testkit::free_port;

use crate::agree::{agree, json};
use crate::experiment::{Experiment, NATIVE, load};
use crate::lab::Lab;

const DOCKER: &str = "[[platform]]\nkind = \"docker\"\n";
const PUBLISHED: &str = "[[platform]]\nkind = \"docker\"\nname = \"published\"\npublish = true\n";
const FAKE: &str = "[[platform]]\nkind = \"fake\"\n";

/// A window with which a busy machine loses no packet, and a timeout that it does not reach.
const STREAM: &str =
    "[[load]]\nkind = \"udp\"\nname = \"stream\"\npackets = 3000\nwindow = 16\npace = \"200us\"\ntimeout = \"20s\"\n\n";

/// The experiment with a UDP workload in addition to, or instead of, the HTTP workload.
fn text(experiment: &Experiment, udp: &str, keeps_tcp: bool) -> String {
    let text = experiment.toml();
    let tcp = format!("[[workload]]\nkind = \"tcp\"\nport = {}\n", experiment.port);
    let udp = format!("[[workload]]\nkind = \"udp\"\nport = {}\n{udp}\n", free_port());
    let kept = if keeps_tcp { tcp.as_str() } else { "" };
    assert!(text.contains(&tcp));
    text.replace(&tcp, &format!("{kept}\n{udp}"))
}

fn experiment(lab: &Lab, platforms: &str, loads: &str) -> Experiment {
    Experiment {
        loads: loads.to_owned(),
        ..lab.experiment().with_platforms(platforms).with_blocks(1)
    }
}

fn run(lab: &Lab, text: &str) -> Vec<(String, Value)> {
    std::fs::write(lab.path("e.toml"), text).unwrap();
    lab.controller(&[]).ends_with(0);
    let run = lab.run_folder();
    let agreed = agree(&run);
    agreed
        .counted()
        .map(|attempt| {
            (
                attempt.platform.clone(),
                json(&run.join(&attempt.folder).join("trial.json")),
            )
        })
        .collect()
}

/// Every packet is accounted for at both ends.
#[track_caller]
fn assert_no_loss(record: &Value, packets: u64) {
    let stream = &record["udp"]["stream"];
    for (key, expected) in [
        ("sent", packets),
        ("received", packets),
        ("lost", 0),
        ("duplicates", 0),
        ("dropped", 0),
    ] {
        assert_eq!(stream[key], expected, "{key} of {stream}");
    }
    let service = &record["udp"]["service"];
    for (key, expected) in [
        ("received", packets),
        ("answered", packets),
        ("dropped", 0),
        ("unsent", 0),
    ] {
        assert_eq!(service[key], expected, "{key} of {service}");
    }
    assert_eq!(record["requests"]["total"], packets);
    assert!(stream["total_ns"].as_u64().unwrap() > 0);
}

#[test]
fn packets_and_requests_in_one_run() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let loads = STREAM.to_owned() + &load("r100", 100, 1);
    let records = run(&lab, &text(&experiment(&lab, NATIVE, &loads), "", true));
    assert_eq!(records.len(), 2, "no cell of packets with HTTP");
    let udp = records.iter().find(|(_, record)| !record["udp"].is_null()).unwrap();
    assert_no_loss(&udp.1, 3000);
    let report = std::fs::read_to_string(lab.run_folder().join("report.md")).unwrap();
    for expected in [
        "packets of 8 bytes, one every 200 us, at most 16 in flight",
        "Total time, first packet to last reply",
        "packets sent, 0 lost (0 on the way to the service, 0 at the service's sockets",
        "tcp under r100",
    ] {
        assert!(report.contains(expected), "no {expected:?} in\n{report}");
    }
    assert!(
        !report.contains("tcp under stream") && !report.contains("udp under r100"),
        "{report}"
    );
}

#[test]
fn an_echo_of_several_sockets_and_a_search() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let loads = STREAM.trim_end().replace("20s", "2s") + "\nsize = 200\nsearch = \"30s\"\n";
    let udp = "echo = true\nsockets = 2\nreceive_buffer = 1000000\n";
    let records = run(&lab, &text(&experiment(&lab, NATIVE, &loads), udp, false));
    let record = &records[0].1;
    assert_no_loss(record, 3000);
    assert_eq!(record["udp"]["service"]["sockets"], 2);
    assert!(record["udp"]["service"]["receive_buffer"].as_u64().unwrap() >= 1_000_000);
    assert!(!record["udp"]["search"]["steps"].as_array().unwrap().is_empty());
}

/// A foreign service answers but has no counters.
#[test]
fn a_service_without_counters() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let records = run(&lab, &text(&experiment(&lab, FAKE, STREAM), "", false));
    let udp = &records[0].1["udp"];
    assert_eq!(
        (&udp["stream"]["received"], &udp["service"]),
        (&3000.into(), &Value::Null)
    );
    let report = std::fs::read_to_string(lab.run_folder().join("report.md")).unwrap();
    assert!(report.contains("location unknown"), "{report}");
}

#[test]
#[ignore = "needs Docker"]
fn packets_to_processes_and_containers() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let platforms = [NATIVE, DOCKER, PUBLISHED].concat();
    let records = run(&lab, &text(&experiment(&lab, &platforms, STREAM), "", false));
    assert_eq!(records.len(), 3);
    for (platform, record) in &records {
        println!("{platform}");
        assert_no_loss(record, 3000);
    }
}

#[test]
fn loads_and_workloads_without_a_match_are_errors() {
    let lab = Lab::new();
    for (loads, keeps_tcp, expected) in [
        (STREAM.to_owned(), true, "no load of the file goes with this workload"),
        (
            STREAM.to_owned() + &load("r100", 100, 1),
            false,
            "no workload of the file goes with this load",
        ),
        (
            STREAM.replace("window = 16\npace = \"200us\"\n", ""),
            false,
            "packets need a pace, or a window",
        ),
        (STREAM.replace("packets = 3000", "packets = 0"), false, "packets"),
        (
            STREAM.to_owned() + "duration = \"1s\"\n",
            false,
            "a load of kind \"udp\" has no such key",
        ),
    ] {
        std::fs::write(
            lab.path("e.toml"),
            text(&experiment(&lab, NATIVE, &loads), "", keeps_tcp),
        )
        .unwrap();
        let output = lab.ask(&["check", "e.toml"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
}
