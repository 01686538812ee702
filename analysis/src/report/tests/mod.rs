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

/// Every file below a folder with its content.
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
fn counts_agree_to_the_last_request_and_a_second_report_is_the_same() {
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
    assert!(contents(&run) == before, "a report of the same data differs");
}

#[test]
fn the_report_says_what_was_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let run = synthetic::write(folder.path(), &small());
    let paths = rebuild(&run).unwrap();
    for path in [&paths.html, &paths.markdown] {
        let text = fs::read_to_string(path).unwrap();
        for expected in [
            "2 of 14 attempts were invalid",
            "no word for 30 s",
            "the bridge lies on the network path",
            "took 4.2 % of the host",
            "seem to share a host",
            "Too few trials for intervals",
            "too few to tell from chance",
        ] {
            assert!(text.contains(expected), "{expected} is not in {}", path.display());
        }
    }
    let html = fs::read_to_string(&paths.html).unwrap();
    assert!(
        html.contains("&lt;b&gt;not bold&lt;/b&gt;"),
        "the file's text is not escaped"
    );
    assert!(
        !html.contains("src=") && !html.contains("href="),
        "the page needs something from outside"
    );
}

#[test]
fn altered_raw_data_is_found_and_does_not_count() {
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
    assert!(html.contains("Raw data was altered") && html.contains("1 of 12 trials have no result"));
}

#[test]
fn a_changed_manifest_is_told() {
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
fn a_run_cut_short_reports_what_it_has_and_is_resumed_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script {
        finished: false,
        ..small()
    };
    let run = synthetic::write(folder.path(), &script);
    // The crash tore the last line of the journal and left an attempt half-written.
    let path = run.join("journal.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 30);
    fs::write(&path, bytes).unwrap();
    let half = run.join("native.tcp.rate-100/.tmp-9-1");
    fs::create_dir(&half).unwrap();
    fs::write(half.join(TRIAL), "{").unwrap();
    let paths = rebuild(&run).unwrap();
    let html = fs::read_to_string(&paths.html).unwrap();
    assert!(html.contains("The run is not complete") && html.contains("1 of 12 trials have no result"));
    // The attempt itself was whole: it is entered, and nothing is left to do.
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

/// What format 2 brought, as results/README.md lists it.
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
fn a_trial_of_format_1_is_read_as_one_that_knew_less() {
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
    assert!(old.ledger.as_ref().unwrap().edges.is_none());
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
fn a_folder_that_is_no_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = rebuild(folder.path()).unwrap_err();
    assert!(matches!(error, ReportError::NotARun { .. }));
    assert!(error.to_string().contains("no manifest.json"));
}

#[test]
#[ignore = "needs eyes: writes a run to $JUNG_SYNTHETIC and its report"]
fn a_run_to_look_at() {
    let results = std::env::var_os("JUNG_SYNTHETIC").expect("JUNG_SYNTHETIC names a folder");
    let number = |name: &str, or: u32| std::env::var(name).map_or(or, |text| text.parse().unwrap());
    let script = Script {
        blocks: number("JUNG_BLOCKS", 10),
        seconds: number("JUNG_SECONDS", 10).into(),
        rates: vec![500, number("JUNG_RATE", 1000)],
        trouble: true,
        finished: true,
    };
    let run = synthetic::write(Path::new(&results), &script);
    eprintln!("{}", rebuild(&run).unwrap().html.display());
}
