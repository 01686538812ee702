//! Requests that an experiment describes, from the file to the results.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::agree::{agree, agree_so_far, json, rows};
use crate::experiment::Experiment;
use crate::lab::Lab;
use crate::loaders::{loader, names};

const SHOP: &str = r#"
[[load]]
kind = "users"
name = "shop"
users = 4
requests = 40
keep_alive = true

[[load.request]]
label = "search"
weight = 2
path = "/?q={letters:6}"
headers = { Authorization = "Bearer hunter2", X-Id = "{uuid}" }
template = true

[[load.request]]
label = "order"
method = "POST"
path = "/?order={seq}"
body_file = "order.json"
template = true
expect = { status = [200, 201], length = 1000, regex = "^A+$", sha256 = "SHA" }

[[load.request]]
label = "header"
method = "HEAD"
expect = { status = 200 }
"#;

/// SHA-256 of a thousand letters A.
const LETTERS: &str = "c2e686823489ced2017f6059b8b239318b6364f6dcd835d0a519105a1eadd6e4";

fn shop(lab: &Lab, more: &str) -> Experiment {
    std::fs::write(lab.path("order.json"), r#"{"id": {seq}, "count": {random:1-9}}"#).unwrap();
    Experiment {
        loads: SHOP.replace("SHA", LETTERS) + more,
        deadlines: "answer = \"60s\"\nrunner = \"60s\"".into(),
        ..lab.experiment().with_blocks(1)
    }
}

/// The trial of the run, after a check of what it says about the requests.
fn checked(lab: &Lab) -> Value {
    let run = lab.run_folder();
    let agreed = agree(&run);
    let counted = agreed.counted().next().unwrap();
    assert_eq!(counted.total, 160);
    let folder = run.join(&counted.folder);
    let trial = json(&folder.join("trial.json"));
    assert_eq!(trial["requests"]["ok"], 160, "{}", trial["requests"]);
    let labels = trial["labels"].as_array().unwrap().iter();
    let labels = labels.map(|label| {
        (
            label["name"].as_str().unwrap().to_owned(),
            label["total"].as_u64().unwrap(),
        )
    });
    let expected = [("search", 80), ("order", 40), ("header", 40)].map(|(name, total)| (name.to_owned(), total));
    assert_eq!(labels.collect::<Vec<_>>(), expected);
    let mut in_jtl: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows(&folder.join("requests.jtl")) {
        *in_jtl
            .entry(row["label"].rsplit('/').next().unwrap().to_owned())
            .or_default() += 1;
    }
    assert_eq!(in_jtl, expected.into());
    let requests = &trial["load"]["http"]["requests"];
    assert_eq!(requests[1]["body"]["text"], r#"{"id": {seq}, "count": {random:1-9}}"#);
    for file in [folder.join("trial.json"), run.join("manifest.json")] {
        assert!(
            !std::fs::read_to_string(&file).unwrap().contains("hunter2"),
            "{}",
            file.display()
        );
    }
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(report.contains("| order, native |"), "{report}");
    trial
}

#[test]
fn a_mix_of_requests_with_bodies_and_expectations() {
    let lab = Lab::new();
    let _runner = lab.runner();
    lab.run(&shop(&lab, ""), 0);
    checked(&lab);
}

#[test]
fn loaders_receive_the_requests_with_their_bodies() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let _loaders = names(&lab).map(|name| loader(&lab, &name));
    let [a, b] = names(&lab);
    lab.run(
        &shop(&lab, &format!("\n[generator]\nloaders = [\"{a}\", \"{b}\"]\n")),
        0,
    );
    let trial = checked(&lab);
    let each = trial["loaders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|loader| &loader["requests"]["ok"]);
    assert_eq!(each.collect::<Vec<_>>(), [80, 80]);
}

#[test]
fn a_body_that_never_matches_and_a_service_without_tls_make_trials_invalid() {
    let lab = Lab::new();
    let _runner = lab.runner();
    let load = |name: &str, more: &str| {
        format!(
            "[[load]]\nkind = \"max\"\nname = \"{name}\"\nconnections = 2\nduration = \"300ms\"\nwarm_up = \"100ms\"\n{more}\n"
        )
    };
    let experiment = Experiment {
        max_attempts: 1,
        iterations: 1,
        loads: load("body", "expect = { contains = \"B\" }") + &load("tls", "[load.tls]\ninsecure = true"),
        ..lab.experiment()
    };
    lab.run(&experiment, 8);
    let agreed = agree_so_far(&lab.run_folder());
    let reasons: BTreeMap<_, _> = agreed
        .attempts
        .iter()
        .map(|attempt| (attempt.cell.as_str(), &attempt.reasons))
        .collect();
    assert!(reasons["native.tcp.body"].contains("wrong-body"), "{reasons:?}");
    let tls = reasons["native.tcp.tls"];
    assert!(
        tls.contains("the TLS handshake with 127.0.0.1") && tls.contains("insecure = true"),
        "{reasons:?}"
    );
}
