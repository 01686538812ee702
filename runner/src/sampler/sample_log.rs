//! A copy of the raw samples on the runner's disk, so that none are lost if the controller dies.
//!
//! `<state>/samples/<attempt>.jsonl`, one batch per line, as it is sent. The files of the newest attempts are kept.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use protocol::AttemptId;
use protocol::sample::Samples;
use tracing::warn;

/// The number of attempts that are kept.
const ATTEMPTS: usize = 64;

/// The largest file, bytes: a day of ten services at one sample a second.
const BYTES: u64 = 1 << 30;

/// The samples of an attempt on disk.
#[derive(Debug)]
pub struct SampleLog {
    path: PathBuf,
    /// `None`: it cannot be written or is full, which was logged.
    file: Option<File>,
    written: u64,
    max_bytes: u64,
}

impl SampleLog {
    /// Creates the file of an attempt and removes those of the oldest. If that fails, it is logged and nothing is kept; the samples are sent to the
    /// controller all the same.
    #[must_use]
    pub fn create(state: &Path, attempt: AttemptId) -> Self {
        Self::with_limits(state, attempt, ATTEMPTS, BYTES)
    }

    fn with_limits(state: &Path, attempt: AttemptId, attempts: usize, max_bytes: u64) -> Self {
        let folder = state.join("samples");
        let path = folder.join(format!("{attempt}.jsonl"));
        let create = || {
            fs::create_dir_all(&folder)?;
            remove_oldest(&folder, attempts.saturating_sub(1))?;
            File::create(&path)
        };
        let file =
            create().inspect_err(|error| warn!(path = %path.display(), %error, "samples are not kept on this host"));
        Self {
            file: file.ok(),
            path,
            written: 0,
            max_bytes,
        }
    }

    /// Appends a batch.
    pub fn append(&mut self, samples: &Samples) {
        if let Err(error) = self.try_append(samples) {
            warn!(path = %self.path.display(), %error, "samples are no longer kept on this host");
            self.file = None;
        }
    }

    fn try_append(&mut self, samples: &Samples) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(samples)?;
        line.push(b'\n');
        self.written += line.len() as u64;
        if self.written > self.max_bytes {
            return Err(io::Error::other(format!("it would exceed {} bytes", self.max_bytes)));
        }
        file.write_all(&line)
    }
}

/// Removes all but the newest files; their names sort by time.
fn remove_oldest(folder: &Path, keep: usize) -> io::Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    files.sort();
    for old in &files[..files.len().saturating_sub(keep)] {
        fs::remove_file(old)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::sample::{Counter, Sample, Subject, WholeHost};

    fn batch(number: u64) -> Samples {
        let sample = Sample {
            offset_ns: number,
            of: Subject::Host(WholeHost {}),
            counters: [(Counter::UserTicks, number)].into_iter().collect(),
        };
        Samples {
            batch: number,
            samples: vec![sample],
        }
    }

    #[test]
    fn batches_are_written_as_sent_and_the_oldest_attempts_are_removed() {
        let state = tempfile::tempdir().unwrap();
        let attempts: Vec<AttemptId> = (0..4).map(|number| AttemptId(uuid::Uuid::from_u128(number))).collect();
        for &attempt in &attempts {
            let mut log = SampleLog::with_limits(state.path(), attempt, 2, 1 << 20);
            (0..3).for_each(|number| log.append(&batch(number)));
        }
        let folder = state.path().join("samples");
        let mut left: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        left.sort();
        let expected: Vec<PathBuf> = attempts[2..]
            .iter()
            .map(|attempt| folder.join(format!("{attempt}.jsonl")))
            .collect();
        assert_eq!(left, expected);
        let text = fs::read_to_string(&left[0]).unwrap();
        let read: Vec<Samples> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, [batch(0), batch(1), batch(2)]);
    }

    #[test]
    fn a_file_that_cannot_be_written_or_is_full_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        SampleLog::create(file.path(), AttemptId::fresh()).append(&batch(1));
        let state = tempfile::tempdir().unwrap();
        let attempt = AttemptId::fresh();
        let mut log = SampleLog::with_limits(state.path(), attempt, 2, 100);
        (0..9).for_each(|number| log.append(&batch(number)));
        let text = fs::read_to_string(state.path().join(format!("samples/{attempt}.jsonl"))).unwrap();
        assert!(text.len() <= 100 && text.ends_with('\n'));
    }
}
