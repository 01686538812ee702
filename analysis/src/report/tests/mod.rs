//! From a synthetic run to its report and back.

mod jmeter;
pub(crate) mod synthetic;
mod traffic;
mod views;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use synthetic::Script;

use super::json::PlatformResults;
use super::{ReportError, rebuild};
use crate::store::Validity;
use crate::store::{JtlReader, Progress, REQUESTS, RunFolder, TRIAL, TrialRecord, atomic, journal};

fn small() -> Script {
    Script {
        blocks: 3,
        seconds: 3,
        rates: vec![100, 200],
        trouble: true,
        finished: true,
    }
}

fn rows(path: &Path) -> u64 {
    let mut reader = JtlReader::open(path).unwrap();
    let mut n = 0;
    while reader.next_row().unwrap().is_some() {
        n += 1;
    }
    n
}

/// Every file below a directory with its content.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

fn results(run: &Path, platform: &str) -> PlatformResults {
    atomic::read_json(&run.join(format!("{platform}.json"))).unwrap()
}

#[test]
fn request_counts_agree_and_a_report_is_reproducible() {
    let folder = tempfile::tempdir().unwrap();
    let run = synthetic::write(folder.path(), &small());
    let paths = rebuild(&run).unwrap();
    assert_eq!(paths.problems, Vec::<String>::new());
    let entries = journal::read(&run.join("journal.jsonl")).unwrap();
    let text = fs::read_to_string(&paths.html).unwrap();
    let mut total = 0;
    for platform in ["native", "docker"] {
        let json = results(&run, platform);
        let of_json: u64 = json.cells.iter().map(|c| c.requests).sum();
        let counted = Progress::of(&entries);
        let of_journal: u64 = counted
            .ended()
            .filter(|a| a.key.trial.cell.platform.as_str() == platform && a.validity != Validity::Invalid)
            .map(|a| a.requests.total)
            .sum();
        let of_jtl = rows(&run.join(format!("{platform}.jtl")));
        let raw: u64 = json
            .cells
            .iter()
            .flat_map(|c| &c.trials)
            .map(|t| rows(&run.join(t).join(REQUESTS)))
            .sum();
        assert_eq!([of_json, of_journal, of_jtl, raw], [3 * (300 + 600); 4], "{platform}");
        assert!(
            json.cells
                .iter()
                .all(|c| c.n == 3 && c.metrics["response_p50"].values.len() == 3)
        );
        total += of_json;
    }
    assert!(text.contains(&format!("with {} requests", super::format::count(total))));
    let before = contents(&run);
    rebuild(&run).unwrap();
    assert_eq!(
        contents(&run).keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    assert!(contents(&run) == before, "the second report differs");
}

#[test]
fn the_report_shows_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let run = synthetic::write(folder.path(), &small());
    let paths = rebuild(&run).unwrap();
    for path in [&paths.html, &paths.markdown] {
        let text = fs::read_to_string(path).unwrap();
        for expected in [
            "2 of 14 attempts were invalid",
            "no message for 30 s",
            "the bridge lies on the network path",
            "steal: 4.2 % of the host",
            "appear to share a host",
            "Too few trials for confidence intervals",
            "too few for a test",
        ] {
            assert!(text.contains(expected), "{expected} is not in {}", path.display());
        }
    }
    let html = fs::read_to_string(&paths.html).unwrap();
    assert!(
        html.contains("&lt;b&gt;not bold&lt;/b&gt;"),
        "the experiment file is not escaped"
    );
    assert!(
        !html.contains("src=") && !html.contains("href="),
        "the page is not self-contained"
    );
}

#[test]
fn altered_raw_data_is_detected_and_excluded() {
    let folder = tempfile::tempdir().unwrap();
    let run = synthetic::write(folder.path(), &small());
    let victim = run.join("native.tcp.rate-100/1-1").join(REQUESTS);
    let text = fs::read_to_string(&victim).unwrap();
    let shorter: String = text.lines().take(200).map(|l| format!("{l}\n")).collect();
    fs::write(&victim, shorter).unwrap();
    let paths = rebuild(&run).unwrap();
    assert_eq!(paths.problems.len(), 1);
    assert!(
        paths.problems[0].contains("requests.jtl: altered"),
        "{:?}",
        paths.problems
    );
    assert_eq!(results(&run, "native").cells[0].n, 2);
    let html = fs::read_to_string(&paths.html).unwrap();
    assert!(html.contains("Raw data was altered") && html.contains("1 of 12 trials have no valid attempt"));
}

#[test]
fn an_altered_manifest_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let run = synthetic::write(folder.path(), &small());
    let path = run.join("manifest.json");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"performance\"", "\"powersave\"");
    fs::write(&path, text).unwrap();
    let paths = rebuild(&run).unwrap();
    assert!(
        paths.problems[0].contains("manifest.json: altered"),
        "{:?}",
        paths.problems
    );
}

#[test]
fn an_interrupted_run_is_reported_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script {
        finished: false,
        ..small()
    };
    let run = synthetic::write(folder.path(), &script);
    // A crash truncates the last line of the journal and leaves an incomplete attempt.
    let path = run.join("journal.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 30);
    fs::write(&path, bytes).unwrap();
    let half = run.join("native.tcp.rate-100/.tmp-9-1");
    fs::create_dir(&half).unwrap();
    fs::write(half.join(TRIAL), "{").unwrap();
    let paths = rebuild(&run).unwrap();
    let html = fs::read_to_string(&paths.html).unwrap();
    assert!(html.contains("The run is not complete") && html.contains("1 of 12 trials have no valid attempt"));
    // The directory of the attempt is complete, so it is added, and no trial is left.
    let (_, manifest, _, entries) = RunFolder::resume(&run).unwrap();
    let progress = Progress::of(&entries);
    assert!(!half.exists());
    assert!(manifest.plan.iter().all(|p| progress.trial(&p.trial).is_done()));
    let troubled = manifest
        .plan
        .iter()
        .filter(|p| progress.trial(&p.trial).last_attempt == 2)
        .count();
    assert_eq!((troubled, progress.ended().count()), (2, 14));
    assert!(
        RunFolder::at(&run)
            .begin(&entries.iter().find_map(key_of).unwrap())
            .is_err(),
        "never overwritten"
    );
}

fn key_of(entry: &journal::Entry) -> Option<crate::store::AttemptKey> {
    match &entry.event {
        journal::JournalEvent::AttemptFinished(ended) => Some(ended.key.clone()),
        _ => None,
    }
}

/// The fields added in format 2 (results/README.md).
const NEW_IN_2: [&str; 5] = [
    "tasks_percent",
    "unticked_percent",
    "edges",
    "pss_start_bytes",
    "pss_end_bytes",
];

fn without(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !keys.contains(&key.as_str()));
            fields.values_mut().for_each(|value| without(value, keys));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| without(value, keys)),
        _ => {}
    }
}

#[test]
fn a_trial_of_format_1_is_readable() {
    let folder = tempfile::tempdir().unwrap();
    let run = synthetic::write(folder.path(), &small());
    let path = run.join("native.tcp.rate-100/1-1").join(TRIAL);
    let now: Value = atomic::read_json(&path).unwrap();
    let mut old = now.clone();
    without(&mut old["ledger"], &NEW_IN_2);
    old["format"] = 1.into();
    assert_ne!(old["ledger"], now["ledger"]);
    let old: TrialRecord = serde_json::from_value(old).unwrap();
    let mut new: TrialRecord = serde_json::from_value(now).unwrap();
    assert!(old.breakdown.as_ref().unwrap().edges.is_none());
    new.format = 1;
    let [mut known, mut read] = [new, old].map(|record| serde_json::to_value(record).unwrap());
    for record in [&mut known, &mut read] {
        without(&mut record["ledger"], &NEW_IN_2);
    }
    assert_eq!(known, read);
}

#[test]
fn a_platform_called_manifest_does_not_overwrite_the_manifest() {
    assert_eq!(
        super::json::file_name(&synthetic::name("manifest"), "json"),
        "platform-manifest.json"
    );
    assert_eq!(
        super::json::file_name(&synthetic::name("native"), "json"),
        "native.json"
    );
}

#[test]
fn a_directory_that_is_not_a_run_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = rebuild(folder.path()).unwrap_err();
    assert!(matches!(error, ReportError::NotARun { .. }));
    assert!(error.to_string().contains("no manifest.json"));
}
