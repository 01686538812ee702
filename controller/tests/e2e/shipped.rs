//! The shipped experiments and scripts, reduced in size.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::free_port;
use testkit::process::Running;

use crate::agree::{agree, json};
use crate::guest_lab::{assert_nothing_left, linux};
use crate::lab::Lab;

/// A file of the repository.
fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// `experiments/boot.toml` with two of its platforms, one and three instances and one block.
fn boot(lab: &Lab) -> String {
    let text = std::fs::read_to_string(shipped("experiments/boot.toml")).unwrap();
    let mut file: toml::Table = text.parse().unwrap();
    let experiment = file["experiment"].as_table_mut().unwrap();
    for (key, value) in [
        ("name", "small"),
        ("host", &lab.host),
        ("controller", &format!("of-{}", lab.host)),
    ] {
        experiment.insert(key.into(), value.into());
    }
    experiment.insert("iterations".into(), 1.into());
    let platforms = file["platform"].as_array_mut().unwrap();
    platforms.retain(|platform| ["native", "linux-vm"].contains(&platform["kind"].as_str().unwrap()));
    for platform in platforms
        .iter_mut()
        .filter(|platform| platform.get("acceleration").is_some())
    {
        platform
            .as_table_mut()
            .unwrap()
            .insert("acceleration".into(), "tcg".into());
    }
    let workloads = file["workload"].as_array_mut().unwrap();
    workloads.truncate(2);
    for workload in workloads.iter_mut() {
        let workload = workload.as_table_mut().unwrap();
        workload.insert("port".into(), i64::from(free_port()).into());
        if workload.contains_key("copies") {
            workload.insert("copies".into(), 3.into());
        }
    }
    let kafka = format!(
        "[kafka]\nbrokers = \"embedded\"\nlisten = \"{}\"\nprefix = \"{}\"\n",
        lab.broker,
        lab.prefix()
    );
    format!("{file}\n{kafka}")
}

#[test]
#[ignore = "needs QEMU"]
fn boot_experiment_shows_every_stage() {
    let lab = Lab::new();
    linux(&lab, "linux", "");
    let _runner = lab.runner();
    std::fs::write(lab.path("e.toml"), boot(&lab)).unwrap();
    lab.controller(&[]).patiently().ends_with(0);
    let run = lab.run_folder();
    let agreed = agree(&run);
    assert_eq!(agreed.counted().count(), 4);
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    for attempt in agreed.counted() {
        let copies = if attempt.cell.contains(".tcp-10.") { 3 } else { 1 };
        let ready = &json(&run.join(&attempt.folder).join("trial.json"))["ready"];
        stages(ready, copies, attempt.platform == "linux-vm");
        let names: Vec<&str> = attempt.cell.split('.').collect();
        let [platform, workload, load] = names[..] else {
            panic!("{}", attempt.cell)
        };
        row(&report, &format!("{workload}, {load}, {platform}"), copies);
    }
    assert_nothing_left(&lab);
}

/// Every instance has its own endpoint and passed the stages in order; image preparation comes first.
#[track_caller]
fn stages(ready: &Value, copies: usize, is_guest: bool) {
    let endpoints = ready["endpoints"].as_array().unwrap();
    let addresses: BTreeSet<&str> = endpoints
        .iter()
        .map(|endpoint| endpoint["address"].as_str().unwrap())
        .collect();
    assert_eq!(addresses.len(), copies, "{endpoints:?}");
    let starts = ready["startup"].as_array().unwrap();
    assert_eq!(starts.len(), copies, "{ready}");
    for start in starts {
        let ns = |stage: &str| start[stage].as_u64().unwrap();
        assert!(
            0 < ns("process_ns") && ns("process_ns") < ns("first_reply_ns"),
            "{start}"
        );
        if is_guest {
            assert!(ns("process_ns") < ns("first_output_ns"), "{start}");
            assert!(ns("first_output_ns") < ns("first_reply_ns"), "{start}");
        }
    }
    assert!(ready["prepare_ns"].as_u64().unwrap() > 0, "{ready}");
}

/// The report has a row for this cell: one trial, the number of services, every stage and the image preparation in ms.
#[track_caller]
fn row(report: &str, cell: &str, services: usize) {
    let table = report.split("Start-up stages").nth(1).unwrap();
    let found = table
        .lines()
        .find(|line| line.split('|').nth(1).is_some_and(|first| first.trim() == cell));
    let fields: Vec<&str> = found
        .unwrap_or_else(|| panic!("no {cell} in {table}"))
        .split('|')
        .map(str::trim)
        .collect();
    assert_eq!(fields[2..4], ["1", &services.to_string()], "{fields:?}");
    let stages = &fields[4..fields.len() - 1];
    assert_eq!(stages.len(), 5, "{fields:?}");
    for stage in stages {
        assert!(stage.parse::<f64>().is_ok(), "{stage:?} in {fields:?}");
    }
}

/// A body of 12 MB has to fit into the service's memory, so 11 MiB fail and 64 MiB pass; the script has to bisect.
#[test]
#[ignore = "needs root"]
fn min_memory_finds_the_limit_of_a_service() {
    let lab = Lab::new();
    let _broker = lab.broker(&[]);
    let _runner = lab.runner();
    let mut text = std::fs::read_to_string(shipped("experiments/min-memory.toml")).unwrap();
    for (from, to) in [
        ("port = 18080".to_owned(), format!("port = {}", free_port())),
        ("reply_bytes = 1000".to_owned(), "reply_bytes = 12000000".to_owned()),
        ("requests = 150".to_owned(), "requests = 2".to_owned()),
    ] {
        assert!(text.contains(&from), "no {from:?} in {text}");
        text = text.replace(&from, &to);
    }
    text += &format!(
        "\n[kafka]\nbrokers = \"{}\"\nprefix = \"{}\"\n",
        lab.broker,
        lab.prefix()
    );
    std::fs::write(lab.path("m.toml"), text).unwrap();
    let mut script = Command::new("sh");
    script
        .arg(shipped("deploy/min-memory.sh"))
        .args([
            "--platform",
            "native",
            "--from",
            "11",
            "--to",
            "64",
            "--file",
            "m.toml",
            "--controller",
        ])
        .arg(env!("CARGO_BIN_EXE_controller"))
        .args(["--", "--host", &lab.host, "--iterations", "1", "--results", "results"])
        .current_dir(lab.path(""));
    let said = Running::start("script", script, &lab.path("script.log"))
        .patiently()
        .ends_with(0);
    assert!(
        said.contains("64 MiB: passes") && said.contains("MiB: does not pass: "),
        "{said}"
    );
    assert!(said.contains("out of memory"), "{said}");
    let answer = said.lines().last().unwrap();
    // A limit that passes only sometimes is reported as such.
    let mib = [
        "the smallest memory that passes is ",
        "the smallest that passes is about ",
    ]
    .iter()
    .find_map(|words| answer.strip_prefix("native: ").and_then(|rest| rest.split_once(words)));
    let mib: u32 = mib.unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!((12..=64).contains(&mib), "{said}");
}
