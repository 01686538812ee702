//! Apache JMeter reads the JTL files and computes the same counts.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::super::rebuild;
use super::{results, small, synthetic};
use crate::store::jtl;

fn jmeter(file: &Path, out: &Path) -> Output {
    let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "deploy", "jmeter", "jmeter.sh"]
        .iter()
        .collect();
    let output = Command::new(script)
        .arg(file)
        .arg(out)
        .env("JMETER_WINDOW", "1000000")
        .output();
    output.expect("jmeter.sh cannot be run")
}

#[test]
#[ignore = "needs JMeter: Java, Maven and its jars"]
fn jmeter_agrees_with_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let run = synthetic::write(folder.path(), &small());
    rebuild(&run).unwrap();
    let out = folder.path().join("jmeter");
    let output = jmeter(&run.join("docker.jtl"), &out);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(out.join("statistics.json")).unwrap();
    let statistics: Value = serde_json::from_str(&text).unwrap();
    for cell in results(&run, "docker").cells {
        let jmeter = &statistics[format!("{}/tcp", cell.load)];
        assert_eq!(jmeter["sampleCount"].as_u64(), Some(cell.requests), "{text}");
        assert_eq!(jmeter["errorCount"].as_u64(), Some(cell.requests - cell.ok));
        let longest = cell.metrics["response_max"].values.iter().copied().fold(0.0, f64::max);
        let theirs = jmeter["maxResTime"].as_f64().unwrap();
        assert!(
            (theirs - longest).abs() <= 0.51 || cell.ok < cell.requests,
            "{theirs} ms for {longest} ms"
        );
    }
}

#[test]
#[ignore = "needs JMeter: Java, Maven and its jars"]
fn jmeter_rejects_unquoted_additional_columns() {
    let folder = tempfile::tempdir().unwrap();
    let run = synthetic::write(folder.path(), &small());
    rebuild(&run).unwrap();
    let text = std::fs::read_to_string(run.join("native.jtl")).unwrap();
    let bare = folder.path().join("bare.jtl");
    std::fs::write(&bare, text.replacen(&jtl::header(), &jtl::header().replace('"', ""), 1)).unwrap();
    let output = jmeter(&bare, &folder.path().join("jmeter"));
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Mismatch between expected number of columns"));
}
