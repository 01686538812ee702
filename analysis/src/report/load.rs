//! Reads the run: manifest, journal, and of every trial the attempt that counts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hdrhistogram::Histogram;
use protocol::sample::Sample;

use super::course::Course;
use super::error::ReportError;
use super::verify;
use crate::audit;
use crate::store::Validity;
use crate::store::journal::{AttemptFinished, Entry, JournalEvent};
use crate::store::{CellKey, FileSum, Manifest, RunFolder, SAMPLES, TrialRecord, journal, samples};

/// Everything that a report is made of.
#[derive(Debug)]
pub(super) struct RunData {
    /// The run's folder.
    pub folder: RunFolder,
    /// What was ordered.
    pub manifest: Manifest,
    /// The journal.
    pub entries: Vec<Entry>,
    /// The attempts that count, one a trial at most, in the order of the plan.
    pub trials: Vec<Trial>,
    /// The response times of each cell, all its trials added.
    pub responses: BTreeMap<CellKey, Histogram<u64>>,
    /// The same over the course of the window.
    pub courses: BTreeMap<CellKey, Course>,
    /// Every attempt that ended, in the order of the journal.
    pub attempts: Vec<AttemptFinished>,
    /// What is altered, missing or contradictory.
    pub problems: Vec<String>,
}

/// A trial that counts.
#[derive(Debug)]
pub(super) struct Trial {
    /// What is known of it.
    pub record: TrialRecord,
    /// Where it is.
    pub folder: PathBuf,
    /// Its raw samples.
    pub samples: Vec<Sample>,
}

impl RunData {
    /// The trials of a cell, in the order of the plan.
    pub fn of<'a>(&'a self, cell: &'a CellKey) -> impl Iterator<Item = &'a Trial> + 'a {
        self.trials.iter().filter(move |t| t.record.key.trial.cell == *cell)
    }

    /// Attempts that ended as invalid.
    pub fn invalid(&self) -> impl Iterator<Item = &AttemptFinished> {
        self.attempts.iter().filter(|a| a.validity == Validity::Invalid)
    }

    /// How the run ended, if it did.
    pub fn ending(&self) -> Option<&JournalEvent> {
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
        courses: BTreeMap::new(),
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

/// The journal bears the manifest's sum.
fn check_manifest(data: &mut RunData) -> Result<(), ReportError> {
    let now = FileSum::of_file(&data.folder.manifest_path())?.sha256;
    let told = data.entries.iter().filter_map(|e| match &e.event {
        JournalEvent::RunStarted(s) | JournalEvent::RunResumed(s) => Some(&s.manifest_sha256),
        _ => None,
    });
    if told.clone().any(|sum| *sum != now) || told.count() == 0 {
        data.problems
            .push("manifest.json: altered since the run began (its SHA-256 is not the journal's)".to_owned());
    }
    Ok(())
}

/// Takes up every attempt that counts; what is wrong with one is noted and the attempt left out.
fn read_trials(data: &mut RunData) {
    let attempts = data.attempts.clone();
    for ended in &attempts {
        match read_attempt(data, ended) {
            Ok(Some(trial)) => take(data, trial),
            Ok(None) => {}
            Err(problem) => data.problems.push(format!("{}: does not count: {problem}", ended.key)),
        }
    }
}

/// Of two attempts at one trial that count, the first stays.
fn take(data: &mut RunData, trial: Trial) {
    let is_there = data.trials.iter().any(|t| t.record.key.trial == trial.record.key.trial);
    if is_there {
        data.problems.push(format!(
            "{}: does not count: an earlier attempt at this trial does",
            trial.record.key
        ));
    } else {
        data.trials.push(trial);
    }
}

/// An attempt that counts; `None` for an invalid one, whose files are checked all the same.
fn read_attempt(data: &RunData, ended: &AttemptFinished) -> Result<Option<Trial>, String> {
    let folder = data.folder.attempt_path(&ended.key);
    let record = verify::record(&folder, ended)?;
    let verdict = audit::audit(&record);
    if verdict.validity == Validity::Invalid && ended.validity != Validity::Invalid {
        let why: Vec<_> = verdict.reasons.iter().map(|r| r.text.as_str()).collect();
        return Err(format!("the audit finds it invalid now: {}", why.join("; ")));
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
