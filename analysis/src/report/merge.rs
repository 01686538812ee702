//! `<platform>.jtl`: the requests of all valid trials of a platform, in the order of the plan.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};

use protocol::Name;

use super::load::{ReportError, RunData, Trial, verify_requests};
use super::profile::ResponseProfile;
use crate::store::{At as _, LATENCY, REQUESTS, StoreError, jtl};
use loader::Histograms;

/// Writes one file per platform. A trial whose requests contradict its record is noted and excluded from here on.
pub(super) fn merge(data: &mut RunData) -> Result<Vec<PathBuf>, ReportError> {
    let platforms: Vec<Name> = data
        .manifest
        .experiment
        .platforms
        .iter()
        .map(|p| p.name.clone())
        .collect();
    verify_trials(data);
    platforms.iter().map(|platform| write(data, platform)).collect()
}

/// Reads every trial's requests and adds up the response times of consistent trials.
fn verify_trials(data: &mut RunData) {
    for trial in std::mem::take(&mut data.trials) {
        match verify_requests(&trial.folder, &trial.record) {
            Ok((histograms, profile)) => {
                let cell = trial.record.key.trial.cell.clone();
                data.profiles
                    .entry(cell.clone())
                    .or_insert_with(ResponseProfile::new)
                    .add(&profile);
                let sum = data.responses.entry(cell).or_insert_with(|| Histograms::new().response);
                match sum.add(&histograms.response) {
                    Ok(()) => data.trials.push(trial),
                    Err(why) => data
                        .problems
                        .push(format!("{}: excluded: {LATENCY}: {why}", trial.record.key)),
                }
            }
            Err(problem) => data.problems.push(format!("{}: excluded: {problem}", trial.record.key)),
        }
    }
}

fn write(data: &RunData, platform: &Name) -> Result<PathBuf, ReportError> {
    let path = data.folder.path().join(format!("{platform}.jtl"));
    let temporary = data.folder.path().join(format!("{platform}.jtl.tmp"));
    let mut output = BufWriter::with_capacity(1 << 18, File::create(&temporary).at(&temporary, "create")?);
    output.write_all(jtl::header().as_bytes()).at(&temporary, "write")?;
    let is_own = |trial: &&Trial| trial.record.key.trial.cell.platform == *platform;
    for trial in data.trials.iter().filter(is_own) {
        append(&trial.folder.join(REQUESTS), &mut output)?;
    }
    let file = output.into_inner().map_err(IntoInnerError::into_error);
    file.and_then(|file| file.sync_all()).at(&temporary, "write")?;
    std::fs::rename(&temporary, &path).at(&path, "rename to")?;
    Ok(path)
}

/// Appends the rows of a file without its header.
fn append(rows: &Path, output: &mut impl Write) -> Result<(), StoreError> {
    let mut input = BufReader::with_capacity(1 << 18, File::open(rows).at(rows, "open")?);
    input.skip_until(b'\n').at(rows, "read")?;
    std::io::copy(&mut input, output).at(rows, "copy")?;
    Ok(())
}
