//! The crates of the workspace depend on each other in one direction, and none is much larger than the others.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Every crate, with the crates of the workspace that it may depend on.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("protocol", &[]),
    ("broker", &[]),
    ("workloads", &[]),
    ("guest-init", &[]),
    ("deploy", &["protocol"]),
    ("runner", &["protocol", "deploy"]),
    ("loader", &["protocol"]),
    ("analysis", &["protocol", "loader"]),
    ("controller", &["protocol", "loader", "analysis", "broker"]),
    // For tests only.
    ("testkit", &["protocol", "broker"]),
    // Measures all the others; no crate depends on it.
    (
        "bench",
        &[
            "protocol",
            "broker",
            "workloads",
            "deploy",
            "runner",
            "loader",
            "analysis",
            "controller",
        ],
    ),
];

/// Additional dependencies of tests and fuzz targets: real services and a real broker.
const ALLOWED_IN_TESTS: [(&str, &[&str]); 6] = [
    ("protocol", &["testkit"]),
    ("deploy", &["testkit"]),
    ("runner", &["testkit", "broker"]),
    ("loader", &["workloads", "testkit"]),
    ("controller", &["testkit", "deploy"]),
    ("workloads", &["broker"]),
];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

fn of<'a>(list: &[(&str, &'a [&'a str])], package: &str) -> Option<&'a [&'a str]> {
    list.iter()
        .find(|(name, _)| *name == package)
        .map(|(_, allowed)| *allowed)
}

#[test]
fn dependencies_point_one_way() {
    let packages = packages();
    let members: BTreeSet<&str> = packages.iter().map(name).collect();
    let mut forbidden = Vec::new();
    for package in &packages {
        let allowed = of(&ALLOWED, name(package))
            .unwrap_or_else(|| panic!("new crate {}: add its allowed dependencies here", name(package)));
        let in_tests = of(&ALLOWED_IN_TESTS, name(package)).unwrap_or_default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let may = allowed.contains(&to) || dependency["kind"] == "dev" && in_tests.contains(&to);
            if members.contains(to) && !may {
                forbidden.push(format!("{} -> {to} ({})", name(package), dependency["kind"]));
            }
        }
    }
    assert_eq!(forbidden, Vec::<String>::new());
}

/// The number of lines of the Rust files below a directory, without tests.
fn lines(directory: &Path) -> usize {
    let mut total = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let is_test = path
            .file_stem()
            .is_some_and(|stem| stem == "tests" || stem == "testing");
        if is_test {
            continue;
        } else if path.is_dir() {
            total += lines(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            total += std::fs::read_to_string(&path).unwrap().lines().count();
        }
    }
    total
}

#[test]
fn no_crate_holds_more_than_a_quarter_of_the_source() {
    let mut sizes = BTreeMap::new();
    for package in packages() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let source = manifest.parent().unwrap().join("src");
        sizes.insert(name(&package).to_owned(), lines(&source));
    }
    let total: usize = sizes.values().sum();
    let largest = sizes.iter().max_by_key(|(_, lines)| **lines).unwrap();
    assert!(largest.1 * 4 < total, "{largest:?} of {total} lines: {sizes:?}");
}
