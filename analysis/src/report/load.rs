//! Reads a run: manifest, journal, and the valid attempt of every trial. All files are verified.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use loader::Histograms;
use protocol::sample::Sample;

use super::profile::ResponseProfile;
use crate::audit;
use crate::store::journal::{AttemptFinished, Entry, JournalEvent};
use crate::store::{
    CellKey, FileSum, JtlReader, LATENCY, Manifest, REQUESTS, RequestCounts, RunFolder, SAMPLES, StoreError, TRIAL,
    TrialRecord, Validity, journal, read_histograms, samples,
};

/// Why a report could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The directory is not a run.
    #[error("{}: not the directory of a run (no manifest.json); name one such as results/<experiment>/20261122T020102Z", path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The raw data of a report.
#[derive(Debug)]
pub(super) struct RunData {
    /// The run's directory.
    pub folder: RunFolder,
    /// The manifest.
    pub manifest: Manifest,
    /// The journal.
    pub entries: Vec<Entry>,
    /// The attempts that count, at most one per trial, in the order of the plan.
    pub trials: Vec<Trial>,
    /// The response-time histograms of each cell, added over its trials.
    pub responses: BTreeMap<CellKey, Histogram<u64>>,
    /// The response time of each cell over the window.
    pub profiles: BTreeMap<CellKey, ResponseProfile>,
    /// Every attempt that ended, in the order of the journal.
    pub attempts: Vec<AttemptFinished>,
    /// What was altered, missing or inconsistent.
    pub problems: Vec<String>,
}

/// A trial that counts.
#[derive(Debug)]
pub(super) struct Trial {
    /// Its record.
    pub record: TrialRecord,
    /// Its directory.
    pub folder: PathBuf,
    /// Its raw samples.
    pub samples: Vec<Sample>,
}

impl RunData {
    /// The trials of a cell, in the order of the plan.
    pub fn of<'a>(&'a self, cell: &'a CellKey) -> impl Iterator<Item = &'a Trial> + 'a {
        self.trials.iter().filter(move |t| t.record.key.trial.cell == *cell)
    }

    /// Invalid attempts.
    pub fn invalid(&self) -> impl Iterator<Item = &AttemptFinished> {
        self.attempts.iter().filter(|a| a.validity == Validity::Invalid)
    }

    /// The last event of the run.
    pub fn last_event(&self) -> Option<&JournalEvent> {
        self.entries.last().map(|e| &e.event)
    }
}

/// Reads a run.
pub(super) fn load(folder: &RunFolder) -> Result<RunData, ReportError> {
    if !folder.manifest_path().exists() {
        let path = folder.path().to_owned();
        return Err(ReportError::NotARun { path });
    }
    let manifest = folder.manifest()?;
    let entries = journal::read(&folder.journal_path())?;
    let mut data = RunData {
        folder: folder.clone(),
        attempts: entries.iter().filter_map(ended).cloned().collect(),
        manifest,
        entries,
        trials: Vec::new(),
        responses: BTreeMap::new(),
        profiles: BTreeMap::new(),
        problems: Vec::new(),
    };
    check_manifest(&mut data)?;
    read_trials(&mut data);
    data.trials.sort_by_key(|t| t.record.index);
    Ok(data)
}

fn ended(entry: &Entry) -> Option<&AttemptFinished> {
    match &entry.event {
        JournalEvent::AttemptFinished(ended) => Some(ended),
        _ => None,
    }
}

/// Compares the manifest with its checksum in the journal.
fn check_manifest(data: &mut RunData) -> Result<(), ReportError> {
    let now = FileSum::of_file(&data.folder.manifest_path())?.sha256;
    let recorded = data.entries.iter().filter_map(|e| match &e.event {
        JournalEvent::RunStarted(s) | JournalEvent::RunResumed(s) => Some(&s.manifest_sha256),
        _ => None,
    });
    if recorded.clone().any(|sum| *sum != now) || recorded.count() == 0 {
        data.problems.push(
            "manifest.json: altered since the run began (its SHA-256 differs from that in the journal)".to_owned(),
        );
    }
    Ok(())
}

/// Reads every attempt that counts; an attempt with a problem is noted and excluded.
fn read_trials(data: &mut RunData) {
    let attempts = data.attempts.clone();
    for ended in &attempts {
        match read_attempt(data, ended) {
            Ok(Some(trial)) => add_trial(data, trial),
            Ok(None) => {}
            Err(problem) => data.problems.push(format!("{}: excluded: {problem}", ended.key)),
        }
    }
}

/// Of two attempts at one trial that count, the first one stands.
fn add_trial(data: &mut RunData, trial: Trial) {
    let is_duplicate = data.trials.iter().any(|t| t.record.key.trial == trial.record.key.trial);
    if is_duplicate {
        data.problems.push(format!(
            "{}: excluded: an earlier attempt at this trial counts",
            trial.record.key
        ));
    } else {
        data.trials.push(trial);
    }
}

/// Reads an attempt; `None` for an invalid one, whose files are verified all the same.
fn read_attempt(data: &RunData, ended: &AttemptFinished) -> Result<Option<Trial>, String> {
    let folder = data.folder.attempt_path(&ended.key);
    let record = read_record(&folder, ended)?;
    let verdict = audit::audit(&record);
    if verdict.validity == Validity::Invalid && ended.validity != Validity::Invalid {
        let why: Vec<_> = verdict.reasons.iter().map(|r| r.text.as_str()).collect();
        return Err(format!("the repeated audit finds it invalid: {}", why.join("; ")));
    }
    if ended.validity == Validity::Invalid {
        return Ok(None);
    }
    let samples = samples::read(&folder.join(SAMPLES)).map_err(|e| e.to_string())?;
    Ok(Some(Trial {
        record,
        folder,
        samples,
    }))
}

/// Reads `trial.json` and verifies the checksum of every file of the directory.
///
/// # Errors
/// The problem, prefixed with the path.
fn read_record(folder: &Path, ended: &AttemptFinished) -> Result<TrialRecord, String> {
    for (name, sum) in &ended.files {
        let path = folder.join(name);
        let now = FileSum::of_file(&path).map_err(|e| e.to_string())?;
        if now != *sum {
            return Err(format!(
                "{}: altered since it was written (its SHA-256 differs from that in the journal)",
                path.display()
            ));
        }
    }
    let path = folder.join(TRIAL);
    let record = TrialRecord::read(&path).map_err(|e| e.to_string())?;
    if record.key != ended.key || record.requests != ended.requests || record.attempt_id != ended.attempt_id {
        return Err(format!("{}: contradicts the journal", path.display()));
    }
    Ok(record)
}

/// Reads `requests.jtl` once and compares counts and histograms with `trial.json` and `latency.hdr`.
///
/// # Errors
/// The problem, prefixed with the path.
pub(super) fn verify_requests(folder: &Path, record: &TrialRecord) -> Result<(Histograms, ResponseProfile), String> {
    let path = folder.join(REQUESTS);
    let mut reader = JtlReader::open(&path).map_err(|e| e.to_string())?;
    let mut counts = RequestCounts {
        planned: record.requests.planned,
        warm_up: record.requests.warm_up,
        ..RequestCounts::default()
    };
    let (mut histograms, mut profile) = (Histograms::new(), ResponseProfile::new());
    while let Some(request) = reader.next_row().map_err(|e| e.to_string())? {
        counts.add(&request);
        histograms.record(&request);
        if let Some(window) = &record.window {
            profile.record(&request, window);
        }
    }
    let stored = read_histograms(&folder.join(LATENCY)).map_err(|e| e.to_string())?;
    if record.external.as_ref().is_some_and(|external| !external.requests) {
        // An external program that reports only sums leaves nothing to compare.
        return Ok((stored, profile));
    }
    let path = path.display();
    if counts != record.requests {
        let (found, recorded) = (counts.total, record.requests.total);
        Err(format!(
            "{path}: contains {found} requests, {} of them successful; trial.json records {recorded} and {}",
            counts.ok, record.requests.ok
        ))
    } else if histograms != stored {
        Err(format!("{path}: its response times differ from {LATENCY}"))
    } else {
        Ok((stored, profile))
    }
}
