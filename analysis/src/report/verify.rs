//! Holds the files of an attempt against the journal, `trial.json` and each other.

use std::path::Path;

use super::course::Course;
use crate::store::journal::AttemptFinished;
use crate::store::{FileSum, JtlReader, LATENCY, REQUESTS, RequestCounts, TRIAL, TrialRecord, latency};
use loader::Histograms;

/// Reads `trial.json` and checks every file of the folder against the sums in the journal.
///
/// # Errors
/// What is wrong, in words that begin with the path.
pub(super) fn record(folder: &Path, ended: &AttemptFinished) -> Result<TrialRecord, String> {
    for (name, sum) in &ended.files {
        let path = folder.join(name);
        let now = FileSum::of_file(&path).map_err(|e| e.to_string())?;
        if now != *sum {
            return Err(format!(
                "{}: altered since it was written (its SHA-256 is not the journal's)",
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

/// Goes through `requests.jtl` once and checks counts and histograms against `trial.json` and `latency.hdr`.
///
/// # Errors
/// What is wrong or does not agree, in words that begin with the path.
pub(super) fn requests(folder: &Path, record: &TrialRecord) -> Result<(Histograms, Course), String> {
    let path = folder.join(REQUESTS);
    let mut reader = JtlReader::open(&path).map_err(|e| e.to_string())?;
    let mut counts = RequestCounts {
        planned: record.requests.planned,
        warm_up: record.requests.warm_up,
        ..RequestCounts::default()
    };
    let (mut seen, mut course) = (Histograms::new(), Course::new());
    while let Some(request) = reader.next_row().map_err(|e| e.to_string())? {
        counts.add(&request);
        seen.record(&request);
        if let Some(window) = &record.window {
            course.record(&request, window);
        }
    }
    let stored = latency::read(&folder.join(LATENCY)).map_err(|e| e.to_string())?;
    if record.external.as_ref().is_some_and(|external| !external.requests) {
        // Of a program that tells only sums there is nothing to hold against them.
        return Ok((stored, course));
    }
    let path = path.display();
    if counts != record.requests {
        let (found, said) = (counts.total, record.requests.total);
        Err(format!(
            "{path}: holds {found} requests, {} of them good; trial.json says {said} and {}",
            counts.ok, record.requests.ok
        ))
    } else if seen != stored {
        Err(format!("{path}: its times are not those of {LATENCY}"))
    } else {
        Ok((stored, course))
    }
}
