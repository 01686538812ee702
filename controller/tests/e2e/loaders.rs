//! One load split over several loaders, each a separate process: together they generate the same load as one, and a lost loader costs an attempt.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use testkit::process::Running;

use crate::agree::agree;
use crate::experiment::{Experiment, load};
use crate::lab::{Lab, program};

/// The names of a lab's loaders.
pub fn names(lab: &Lab) -> [String; 2] {
    ["a", "b"].map(|letter| format!("{letter}-{}", lab.host))
}

fn experiment(lab: &Lab, loads: &str) -> Experiment {
    let [a, b] = names(lab);
    Experiment {
        loads: format!("{loads}\n[generator]\nloaders = [\"{a}\", \"{b}\"]\n"),
        deadlines: "answer = \"60s\"\nlease = \"4s\"\nrunner = \"60s\"".into(),
        ..lab.experiment().with_blocks(1)
    }
}

pub fn loader(lab: &Lab, name: &str) -> Running {
    let mut command = program("loader");
    command
        .args(["--as", name, "--brokers", &lab.broker, "--prefix", &lab.prefix()])
        .current_dir(lab.path(""));
    Running::start("loader", command, &lab.path(&format!("{name}.log")))
}

fn record(run: &Path, trial: &str) -> Value {
    let text = std::fs::read_to_string(run.join(trial).join("trial.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Requests of each loader in the JTL file, by thread name.
fn in_jtl(run: &Path, trial: &str) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(run.join(trial).join("requests.jtl")).unwrap();
    let mut count = BTreeMap::new();
    for row in text.lines().skip(1) {
        let thread = row.split(',').nth(5).unwrap();
        let (loader, _) = thread.split_once("-Group ").unwrap();
        *count.entry(loader.to_owned()).or_default() += 1;
    }
    count
}

#[test]
fn two_loaders_generate_the_load_of_one() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let _loaders = names(&lab).map(|name| loader(&lab, &name));
    let said = lab.run(&experiment(&lab, &load("r301", 301, 1)), 0);
    assert!(said.contains("finished: 1 trials done"), "{said}");
    let run = lab.run_folder();
    let agreed = agree(&run);
    let counted = agreed.counted().next().unwrap();
    assert_eq!(counted.total, 301);
    let folder = counted.folder.clone();
    let trial = record(&run, &folder);
    let loaders = trial["loaders"].as_array().unwrap();
    let of = |what: &str| {
        loaders
            .iter()
            .map(|one| one["requests"][what].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    // 301 requests/s for 200 ms are 61 requests: one more for the first loader in the warm-up, and for the second in the window.
    assert_eq!((of("warm_up").iter().sum::<u64>(), of("total")), (61, vec![150, 151]));
    let [a, b] = names(&lab);
    assert_eq!(
        in_jtl(&run, &folder),
        BTreeMap::from([(a.clone(), 150), (b.clone(), 151)])
    );
    for (one, name) in loaders.iter().zip([a, b]) {
        assert_eq!(one["host"], name);
        // On one machine both have the same clock, so all skew is estimation error.
        let skew = one["skew_ns"].as_i64().unwrap().unsigned_abs();
        assert!(skew <= 2 * one["clock_error_ns"].as_u64().unwrap() + 1_000_000, "{one}");
    }
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    for name in names(&lab) {
        assert!(report.contains(&name), "{name} in {report}");
    }
}

/// The window covers the whole load: its requests are scheduled as if by one machine.
#[test]
fn requests_of_both_loaders_interleave() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let _loaders = names(&lab).map(|name| loader(&lab, &name));
    lab.run(&experiment(&lab, &load("r200", 200, 1)), 0);
    let run = lab.run_folder();
    let folder = agree(&run).counted().next().unwrap().folder.clone();
    let text = std::fs::read_to_string(run.join(folder).join("requests.jtl")).unwrap();
    let mut due: Vec<u64> = text
        .lines()
        .skip(1)
        .map(|row| row.rsplit(',').nth(4).unwrap().parse().unwrap())
        .collect();
    due.sort_unstable();
    assert!(due.windows(2).all(|two| two[1] - two[0] == 5_000_000), "{due:?}");
}

#[test]
fn a_killed_loader_invalidates_the_attempt_and_its_successor_continues() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let [a, b] = names(&lab);
    let _a = loader(&lab, &a);
    let mut lost = loader(&lab, &b);
    lab.write(&experiment(&lab, &load("r100", 100, 4)));
    let mut controller = lab.controller(&[]);
    lost.wait_for("START");
    lost.kill();
    let _back = loader(&lab, &b);
    let said = controller.ends_with(0);
    assert!(said.contains("will be retried"), "{said}");
    let agreed = agree(&lab.run_folder());
    let first = &agreed.attempts[0];
    assert!(
        !first.counts() && first.reasons.contains(&format!("loader {b}")),
        "{agreed:?}"
    );
    assert_eq!(agreed.counted().map(|attempt| attempt.total).sum::<u64>(), 400);
}

#[test]
fn users_and_packets_are_split() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let _loaders = names(&lab).map(|name| loader(&lab, &name));
    let users = "[[load]]\nkind = \"users\"\nname = \"u5\"\nusers = 5\nrequests = 20\nduration = \"60s\"\nwarm_up_requests = 2\n";
    lab.run(&experiment(&lab, users), 0);
    let run = lab.run_folder();
    let agreed = agree(&run);
    let counted = agreed.counted().next().unwrap();
    assert_eq!(counted.total, 5 * 18);
    let trial = record(&run, &counted.folder);
    let of = |at: usize| trial["loaders"][at]["requests"]["total"].as_u64().unwrap();
    assert_eq!((of(0), of(1)), (3 * 18, 2 * 18), "users 0, 2 and 4; 1 and 3");
}

#[test]
fn a_split_packet_stream_has_one_service_counter() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let _loaders = names(&lab).map(|name| loader(&lab, &name));
    let stream = "[[load]]\nkind = \"udp\"\nname = \"p1001\"\npackets = 1001\npace = \"1ms\"\nwarm_up = \"100ms\"\ntimeout = \"1s\"\n";
    let experiment = experiment(&lab, stream);
    let workload = format!("[[workload]]\nkind = \"udp\"\nport = {}\n", experiment.port);
    lab.run(
        &Experiment {
            workload: Some(workload),
            ..experiment
        },
        0,
    );
    let run = lab.run_folder();
    let agreed = agree(&run);
    let trial = record(&run, &agreed.counted().next().unwrap().folder);
    let udp = &trial["udp"];
    assert_eq!(
        (&udp["stream"]["sent"], &udp["stream"]["lost"]),
        (&1001.into(), &0.into())
    );
    assert_eq!(
        (&udp["service"]["received"], &udp["service"]["answered"]),
        (&1001.into(), &1001.into())
    );
}

#[test]
fn a_missing_loader_is_reported_with_the_command_to_start_it() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let [a, b] = names(&lab);
    let _a = loader(&lab, &a);
    let experiment = Experiment {
        deadlines: "runner = \"5s\"".into(),
        ..experiment(&lab, &load("r100", 100, 1))
    };
    let said = lab.run(&experiment, 5);
    assert!(said.contains(&format!("loader --as {b}")), "{said}");
    lab.assert_no_run();
}

#[test]
fn a_runner_is_not_a_loader() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let [a, b] = names(&lab);
    let _a = loader(&lab, &a);
    let mut other = program("runner");
    other
        .args([
            "--name",
            &b,
            "--prefix",
            &lab.prefix(),
            "--brokers",
            &lab.broker,
            "--state",
        ])
        .arg(lab.path("state-b"));
    let _other = lab.runner_with(other);
    let said = lab.run(&experiment(&lab, &load("r100", 100, 1)), 5);
    assert!(said.contains("it is a runner") && said.contains(&b), "{said}");
}
