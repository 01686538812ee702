//! Writing the directory of one attempt: under a temporary name, renamed once it is complete.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::event::LogTail;
use protocol::sample::Samples;

use super::atomic;
use super::digest::{FileSum, HashingWriter};
use super::error::{At, StoreError};
use super::jtl::{JtlContext, JtlWriter};
use super::record::TrialRecord;
use super::samples;
use loader::{Histograms, Request};

/// The record of the attempt.
pub const TRIAL: &str = "trial.json";
/// The requests of the measurement window.
pub const REQUESTS: &str = "requests.jtl";
/// The requests of the warm-up.
pub const WARM_UP: &str = "warmup.jtl";
/// The raw samples.
pub const SAMPLES: &str = "samples.csv";
/// The latency histograms.
pub const LATENCY: &str = "latency.hdr";
/// Prefix of the name of a directory that is not complete.
pub(super) const TEMPORARY: &str = ".tmp-";

/// Writes the files of one attempt. Dropped before [`AttemptWriter::finish`], it removes them.
#[derive(Debug)]
pub struct AttemptWriter {
    temporary: PathBuf,
    target: PathBuf,
    files: BTreeMap<String, FileSum>,
}

impl AttemptWriter {
    pub(super) fn begin(target: &Path) -> Result<Self, StoreError> {
        if target.exists() {
            return Err(StoreError::Exists {
                path: target.to_owned(),
            });
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let temporary = target.with_file_name(format!("{TEMPORARY}{name}"));
        if temporary.exists() {
            fs::remove_dir_all(&temporary).at(&temporary, "remove the incomplete attempt")?;
        }
        fs::create_dir_all(&temporary).at(&temporary, "create the directory")?;
        Ok(Self {
            temporary,
            target: target.to_owned(),
            files: BTreeMap::new(),
        })
    }

    /// Writes `requests.jtl`, and `warmup.jtl` if there was a warm-up. The requests must be ordered by completion.
    ///
    /// # Errors
    /// [`StoreError::Io`], for these files and for the source of the requests.
    pub fn requests(
        &mut self,
        requests: impl Iterator<Item = io::Result<Request>>,
        context: &JtlContext,
    ) -> Result<(), StoreError> {
        let mut measured = self.jtl(REQUESTS, context)?;
        let mut warm_up: Option<Jtl> = None;
        for request in requests {
            let request = request.at(&measured.path, "read the requests to be written to")?;
            if !request.warm_up {
                measured.row(&request)?;
                continue;
            }
            measured.writer.count_in_flight(&request);
            let file = match &mut warm_up {
                Some(file) => file,
                None => warm_up.insert(self.jtl(WARM_UP, context)?),
            };
            file.row(&request)?;
        }
        for file in [Some(measured), warm_up].into_iter().flatten() {
            let (name, sum) = file.finish()?;
            self.files.insert(name.to_owned(), sum);
        }
        Ok(())
    }

    /// The length of a written file, bytes; `None` if it was not written.
    #[must_use]
    pub fn length_of(&self, name: &str) -> Option<u64> {
        self.files.get(name).map(|sum| sum.bytes)
    }

    /// Writes `samples.csv`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn samples(&mut self, batches: &[Samples]) -> Result<(), StoreError> {
        let bytes = samples::to_csv(batches).map_err(|why| self.unwritable(SAMPLES, why))?;
        self.bytes(SAMPLES, &bytes)
    }

    /// Writes `latency.hdr`; `window` is the length of the measurement window.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn histograms(&mut self, histograms: &Histograms, window: Duration) -> Result<(), StoreError> {
        let bytes = loader::latency::to_log(histograms, window).map_err(|why| self.unwritable(LATENCY, why))?;
        self.bytes(LATENCY, &bytes)
    }

    /// Writes `log/<service>.log`, the end of each service's output.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn logs(&mut self, tails: &[LogTail]) -> Result<(), StoreError> {
        if !tails.is_empty() {
            let folder = self.temporary.join("log");
            fs::create_dir_all(&folder).at(&folder, "create the directory")?;
        }
        for tail in tails {
            self.bytes(&format!("log/{}.log", tail.service), tail.text.as_bytes())?;
        }
        Ok(())
    }

    /// Writes `log/load.<name>`, the output of a load program.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn outputs(&mut self, outputs: &[(String, String)]) -> Result<(), StoreError> {
        if !outputs.is_empty() {
            let folder = self.temporary.join("log");
            fs::create_dir_all(&folder).at(&folder, "create the directory")?;
        }
        for (name, text) in outputs {
            self.bytes(&format!("log/load.{name}"), text.as_bytes())?;
        }
        Ok(())
    }

    /// Writes `trial.json` with the checksums of the other files, and renames the directory. Returns the checksums of all files, for the journal.
    ///
    /// # Errors
    /// [`StoreError::Io`], and [`StoreError::Exists`] if the attempt exists by now.
    pub fn finish(mut self, record: &mut TrialRecord) -> Result<BTreeMap<String, FileSum>, StoreError> {
        record.files.clone_from(&self.files);
        let mut bytes = serde_json::to_vec_pretty(record).map_err(|e| self.unwritable(TRIAL, e.to_string()))?;
        bytes.push(b'\n');
        self.bytes(TRIAL, &bytes)?;
        let logs = self.temporary.join("log");
        if logs.exists() {
            atomic::sync_folder(&logs)?;
        }
        atomic::sync_folder(&self.temporary)?;
        if self.target.exists() {
            let path = self.target.clone();
            return Err(StoreError::Exists { path });
        }
        fs::rename(&self.temporary, &self.target).at(&self.target, "rename to")?;
        if let Some(cell) = self.target.parent() {
            atomic::sync_folder(cell)?;
            cell.parent().map_or(Ok(()), atomic::sync_folder)?;
        }
        Ok(std::mem::take(&mut self.files))
    }

    fn jtl(&self, name: &'static str, context: &JtlContext) -> Result<Jtl, StoreError> {
        let path = self.temporary.join(name);
        let file = File::create_new(&path).at(&path, "create")?;
        let output = HashingWriter::new(BufWriter::with_capacity(1 << 18, file));
        let writer = JtlWriter::new(output, context).at(&path, "write")?;
        Ok(Jtl { name, path, writer })
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.temporary.join(name);
        let mut file = File::create_new(&path).at(&path, "create")?;
        file.write_all(bytes).at(&path, "write")?;
        file.sync_all().at(&path, "sync")?;
        self.files.insert(name.to_owned(), FileSum::of_bytes(bytes));
        Ok(())
    }

    fn unwritable(&self, name: &str, why: String) -> StoreError {
        StoreError::malformed(&self.temporary.join(name), 0, why)
    }
}

impl Drop for AttemptWriter {
    fn drop(&mut self) {
        if self.temporary.exists() {
            fs::remove_dir_all(&self.temporary).ok();
        }
    }
}

/// Reads `latency.hdr`.
///
/// # Errors
/// [`StoreError::Io`] and [`StoreError::Malformed`].
pub fn read_histograms(path: &Path) -> Result<Histograms, StoreError> {
    let bytes = std::fs::read(path).at(path, "read")?;
    loader::latency::from_log(&bytes).map_err(|why| StoreError::malformed(path, 0, why))
}

/// A file of requests that is being written.
struct Jtl {
    name: &'static str,
    path: PathBuf,
    writer: JtlWriter<HashingWriter<BufWriter<File>>>,
}

impl Jtl {
    fn row(&mut self, request: &Request) -> Result<(), StoreError> {
        self.writer.row(request).at(&self.path, "write")
    }

    /// Flushes and syncs the file; returns its name and checksum.
    fn finish(self) -> Result<(&'static str, FileSum), StoreError> {
        let (sum, output) = self.writer.into_inner().finish();
        let file = output
            .into_inner()
            .map_err(|e| e.into_error())
            .at(&self.path, "write")?;
        file.sync_all().at(&self.path, "sync")?;
        Ok((self.name, sum))
    }
}
