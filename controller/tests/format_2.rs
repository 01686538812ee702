//! A run of results format 2, written by the last release with that format, gives the same figures.
//!
//! `format_2/` is a real run: its raw files, and `native.json` as that release computed it. Its loads are `rate` (Poisson), `users` (exponential think
//! time), `ramp`, `none` and `udp`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn figures(path: &Path) -> Vec<Value> {
    let platform: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let cells = platform["cells"].as_array().unwrap().clone();
    assert_eq!(cells.len(), 6);
    cells
}

#[test]
fn a_run_of_format_2_has_the_same_figures() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format_2/20261129T092340Z");
    let scratch = tempfile::tempdir().unwrap();
    let run = scratch.path().join("20261129T092340Z");
    copy(&recorded, &run);
    fs::remove_file(run.join("native.json")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_controller"))
        .arg("report")
        .arg(&run)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (then, now) = (
        figures(&recorded.join("native.json")),
        figures(&run.join("native.json")),
    );
    for (then, now) in then.iter().zip(&now) {
        for (metric, value) in then["metrics"].as_object().unwrap() {
            assert_eq!(
                &now["metrics"][metric], value,
                "{} {} {metric}",
                then["workload"], then["load"]
            );
        }
        for key in ["workload", "load", "n", "trials", "requests", "ok"] {
            assert_eq!(now[key], then[key], "{key}");
        }
    }
}
