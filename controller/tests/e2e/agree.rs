//! Checks that all files of a run agree to the last request. The files are parsed independently of the project's own
//! readers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::read_to_string;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::report;

/// The content of a run's journal.
#[derive(Debug)]
pub struct Agreed {
    /// Completed attempts, in journal order.
    pub attempts: Vec<Attempt>,
    /// The number of attempts that began.
    pub begun: usize,
}

/// A completed attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// `<cell>/<block>`.
    pub trial: String,
    /// `<cell>/<block>-<attempt>`.
    pub folder: String,
    pub cell: String,
    pub platform: String,
    pub number: u64,
    pub validity: String,
    pub reasons: String,
    pub total: u64,
    pub ok: u64,
}

impl Attempt {
    pub fn counts(&self) -> bool {
        self.validity != "invalid"
    }
}

impl Agreed {
    /// The attempts that count.
    pub fn counted(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.counts())
    }
}

/// Checks all files of a finished run against each other; every trial must have a valid attempt.
#[track_caller]
pub fn agree(run: &Path) -> Agreed {
    let agreed = agree_so_far(run);
    let last = journal(run).pop().unwrap();
    assert!(last["event"].get("run-finished").is_some(), "{last}");
    let plan = planned(run);
    for trial in &plan {
        let times = agreed.counted().filter(|attempt| attempt.trial == *trial).count();
        assert_eq!(times, 1, "{trial} counts {times} times");
    }
    assert_eq!(agreed.counted().count(), plan.len(), "trials that nobody planned");
    agreed
}

/// Checks a run of which some trials are missing.
#[track_caller]
pub fn agree_so_far(run: &Path) -> Agreed {
    let agreed = agree_raw(run);
    agree_platforms(run, &agreed);
    report::agree(run, &agreed);
    agreed
}

/// Checks a run without a report: the journal and the attempts' directories.
#[track_caller]
pub fn agree_raw(run: &Path) -> Agreed {
    let agreed = read_journal(run);
    for attempt in &agreed.attempts {
        agree_attempt(run, attempt);
    }
    agreed
}

/// The entries of the journal.
#[track_caller]
pub fn journal(run: &Path) -> Vec<Value> {
    let text = read_to_string(run.join("journal.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The trials of the plan, `<cell>/<block>`, in order.
pub fn planned(run: &Path) -> Vec<String> {
    let manifest = json(&run.join("manifest.json"));
    let plan = manifest["plan"].as_array().unwrap();
    plan.iter().map(|planned| trial_of(&planned["trial"])).collect()
}

/// The trials in the order in which they first began.
pub fn begun(run: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    for entry in journal(run) {
        if let Some(started) = entry["event"].get("trial-started") {
            let trial = trial_of(&started["key"]["trial"]);
            if !seen.contains(&trial) {
                seen.push(trial);
            }
        }
    }
    seen
}

#[track_caller]
pub fn json(path: &Path) -> Value {
    serde_json::from_str(&read_to_string(path).unwrap()).unwrap()
}

/// Numbers have no gaps, ids are unique, and every attempt that ended began once and ended once.
#[track_caller]
fn read_journal(run: &Path) -> Agreed {
    let (mut begun, mut ids, mut attempts) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    let entries = journal(run);
    assert!(entries[0]["event"].get("run-started").is_some(), "{}", entries[0]);
    for (number, entry) in (1u64..).zip(&entries) {
        assert_eq!(entry["number"], number);
        if let Some(started) = entry["event"].get("trial-started") {
            let id = started["attempt_id"].to_string();
            assert!(ids.insert(id.clone()), "{id} twice");
            let before = begun.insert(started["key"].to_string(), id);
            assert_eq!(before, None, "{} was begun twice", started["key"]);
        }
        if let Some(ended) = entry["event"].get("attempt-finished") {
            let id = begun.remove(&ended["key"].to_string());
            assert_eq!(id, Some(ended["attempt_id"].to_string()), "{} ended", ended["key"]);
            attempts.push(attempt_of(ended));
        }
    }
    Agreed {
        attempts,
        begun: ids.len(),
    }
}

fn trial_of(trial: &Value) -> String {
    format!("{}/{}", cell_of(trial), trial["block"])
}

fn cell_of(trial: &Value) -> String {
    let part = |name: &str| trial["cell"][name].as_str().unwrap().to_owned();
    [part("platform"), part("workload"), part("load")].join(".")
}

fn attempt_of(ended: &Value) -> Attempt {
    let key = &ended["key"];
    let trial = trial_of(&key["trial"]);
    let number = key["attempt"].as_u64().unwrap();
    Attempt {
        folder: format!("{trial}-{number}"),
        trial,
        cell: cell_of(&key["trial"]),
        platform: key["trial"]["cell"]["platform"].as_str().unwrap().to_owned(),
        number,
        validity: ended["validity"].as_str().unwrap().to_owned(),
        reasons: ended["reasons"].to_string(),
        total: ended["requests"]["total"].as_u64().unwrap(),
        ok: ended["requests"]["ok"].as_u64().unwrap(),
    }
}

/// The directory of an attempt matches the journal: checksums, counts, rows.
#[track_caller]
fn agree_attempt(run: &Path, attempt: &Attempt) {
    let folder = run.join(&attempt.folder);
    let line = journal(run)
        .into_iter()
        .filter_map(|mut entry| entry["event"].get_mut("attempt-finished").map(Value::take))
        .find(|ended| attempt_of(ended).folder == attempt.folder)
        .unwrap();
    for (file, sum) in line["files"].as_object().unwrap() {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        assert_eq!(sum["sha256"], sha256(&bytes), "{file} of {}", attempt.folder);
    }
    let record = json(&folder.join("trial.json"));
    assert_eq!(record["requests"], line["requests"], "{}", attempt.folder);
    assert_eq!(record["attempt_id"], line["attempt_id"]);
    assert_eq!(record["verdict"]["validity"], line["validity"]);
    let requests = folder.join("requests.jtl");
    if requests.exists() && !has_rows(run, attempt) {
        assert_eq!(rows(&requests).len(), 0, "{}", attempt.folder);
    } else if requests.exists() {
        agree_rows(&requests, &line["requests"]);
        // The file is absent without a warm-up.
        let warm_up = folder.join("warmup.jtl");
        let warm_up = if warm_up.exists() {
            rows(&warm_up).len() as u64
        } else {
            0
        };
        assert_eq!(line["requests"]["warm_up"], warm_up, "{}", attempt.folder);
    } else {
        assert!(
            !attempt.counts() && attempt.total == 0,
            "{attempt:?} has no requests.jtl"
        );
    }
}

/// Whether an attempt has its requests one by one; some load programs report only how many there were.
fn has_rows(run: &Path, attempt: &Attempt) -> bool {
    let record = json(&run.join(&attempt.folder).join("trial.json"));
    record["external"].is_null() || record["external"]["requests"] == true
}

/// Every request occurs once, and the counts by kind match.
#[track_caller]
fn agree_rows(path: &Path, counts: &Value) {
    let rows = rows(path);
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["success"] != "true") {
        *failed.entry(row["failureMessage"].clone()).or_default() += 1;
    }
    let good = rows.len() as u64 - failed.values().sum::<u64>();
    assert_eq!(counts["total"], rows.len() as u64, "{}", path.display());
    assert_eq!(counts["ok"], good, "{}", path.display());
    assert_eq!(
        counts["failed"],
        serde_json::to_value(failed).unwrap(),
        "{}",
        path.display()
    );
    // Users of a closed loop can share a scheduled time but send one after the other.
    let due: BTreeSet<_> = rows.iter().map(|row| (&row["intended_ns"], &row["sent_ns"])).collect();
    assert_eq!(due.len(), rows.len(), "a request is there twice in {}", path.display());
}

/// The rows of a JTL file, by column.
#[track_caller]
pub fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().map(|row| row.unwrap()).collect()
}

/// A platform's files contain the trials that count, in the order of the plan, and nothing else.
#[track_caller]
fn agree_platforms(run: &Path, agreed: &Agreed) {
    let plan = planned(run);
    for platform in json(&run.join("manifest.json"))["experiment"]["platforms"]
        .as_array()
        .unwrap()
    {
        let name = platform["name"].as_str().unwrap();
        let mut own: Vec<_> = agreed.counted().filter(|attempt| attempt.platform == name).collect();
        own.sort_by_key(|attempt| plan.iter().position(|trial| *trial == attempt.trial));
        let merged = read_to_string(run.join(format!("{name}.jtl"))).unwrap();
        let (header, body) = merged.split_once('\n').unwrap();
        let mut expected = String::new();
        for attempt in &own {
            let text = read_to_string(run.join(&attempt.folder).join("requests.jtl")).unwrap();
            let (own_header, rows) = text.split_once('\n').unwrap();
            assert_eq!(own_header, header);
            expected.push_str(rows);
        }
        assert!(body == expected, "{name}.jtl is not the requests.jtl of {own:?}");
        assert_eq!(
            body.lines().count() as u64,
            own.iter()
                .filter(|attempt| has_rows(run, attempt))
                .map(|attempt| attempt.total)
                .sum::<u64>()
        );
        agree_json(&json(&run.join(format!("{name}.json"))), name, &own);
    }
}

#[track_caller]
fn agree_json(results: &Value, platform: &str, own: &[&Attempt]) {
    for cell in results["cells"].as_array().unwrap() {
        let text = |key: &str| cell[key].as_str().unwrap();
        let name = format!("{platform}.{}.{}", text("workload"), text("load"));
        let of_cell: Vec<_> = own.iter().filter(|attempt| attempt.cell == name).collect();
        let folders: Vec<_> = of_cell.iter().map(|attempt| attempt.folder.as_str()).collect();
        assert_eq!(cell["n"], of_cell.len(), "{name}");
        assert_eq!(cell["trials"], serde_json::json!(folders));
        assert_eq!(cell["requests"], of_cell.iter().map(|a| a.total).sum::<u64>(), "{name}");
        assert_eq!(cell["ok"], of_cell.iter().map(|a| a.ok).sum::<u64>(), "{name}");
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
