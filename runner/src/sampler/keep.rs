//! The raw samples as a file on the runner: a controller that dies loses none.
//!
//! `<state>/samples/<attempt>.jsonl`, one batch a line as it goes over the wire. The newest attempts stay.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use protocol::AttemptId;
use protocol::sample::Samples;
use tracing::warn;

/// Attempts that are kept.
const ATTEMPTS: usize = 64;

/// The most bytes of one attempt: a day of ten services at one sample a second.
const BYTES: u64 = 1 << 30;

/// Keeps the samples of an attempt.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    /// `None`: it cannot be written, or is full, which was said.
    file: Option<File>,
    written: u64,
    most: u64,
}

impl Keeper {
    /// Begins the file of an attempt and removes those of the oldest. Where that fails, it says so and keeps nothing: the samples go to the
    /// controller all the same.
    #[must_use]
    pub fn create(state: &Path, attempt: AttemptId) -> Self {
        Self::with(state, attempt, ATTEMPTS, BYTES)
    }

    fn with(state: &Path, attempt: AttemptId, attempts: usize, most: u64) -> Self {
        let folder = state.join("samples");
        let path = folder.join(format!("{attempt}.jsonl"));
        let create = || {
            fs::create_dir_all(&folder)?;
            forget(&folder, attempts.saturating_sub(1))?;
            File::create(&path)
        };
        let file = create().inspect_err(|error| warn!(path = %path.display(), %error, "samples are not kept here"));
        Self {
            file: file.ok(),
            path,
            written: 0,
            most,
        }
    }

    /// Appends a batch.
    pub fn keep(&mut self, samples: &Samples) {
        if let Err(error) = self.append(samples) {
            warn!(path = %self.path.display(), %error, "samples are not kept here any more");
            self.file = None;
        }
    }

    fn append(&mut self, samples: &Samples) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(samples)?;
        line.push(b'\n');
        self.written += line.len() as u64;
        if self.written > self.most {
            return Err(io::Error::other(format!("it would be longer than {} bytes", self.most)));
        }
        file.write_all(&line)
    }
}

/// Removes all but the newest; their names sort by time.
fn forget(folder: &Path, keep: usize) -> io::Result<()> {
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
    fn batches_come_back_as_they_were_and_the_oldest_attempts_go() {
        let state = tempfile::tempdir().unwrap();
        let attempts: Vec<AttemptId> = (0..4).map(|number| AttemptId(uuid::Uuid::from_u128(number))).collect();
        for &attempt in &attempts {
            let mut keeper = Keeper::with(state.path(), attempt, 2, 1 << 20);
            (0..3).for_each(|number| keeper.keep(&batch(number)));
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
    fn a_file_that_cannot_be_written_or_is_full_ends_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        Keeper::create(file.path(), AttemptId::fresh()).keep(&batch(1));
        let state = tempfile::tempdir().unwrap();
        let attempt = AttemptId::fresh();
        let mut keeper = Keeper::with(state.path(), attempt, 2, 100);
        (0..9).for_each(|number| keeper.keep(&batch(number)));
        let text = fs::read_to_string(state.path().join(format!("samples/{attempt}.jsonl"))).unwrap();
        assert!(text.len() <= 100 && text.ends_with('\n'));
    }
}
