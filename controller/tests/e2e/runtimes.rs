//! Whole runs with other makers of containers than Docker's own.

use std::collections::BTreeSet;

use crate::agree::{Agreed, agree, json};
use crate::experiment::NATIVE;
use crate::lab::Lab;

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
    overhead(&lab, &agreed, "lxc", &["lxc-start"]);
    assert!(!lab.path("state/lxc/containers").read_dir().unwrap().any(|_| true));
}

/// Every trial on a platform has these processes as overhead, and no others.
fn overhead(lab: &Lab, agreed: &Agreed, platform: &str, parts: &[&str]) {
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
