//! The directory of a run: raw data is written first, completely or not at all, and never overwritten. `results/README.md` describes the format.
//!
//! ```text
//! RunFolder::create(results, &mut manifest) -> (folder, journal)     or RunFolder::resume(path)
//!   journal.append(TrialStarted)
//!   let mut attempt = folder.begin(&key)?;
//!   attempt.requests(..)?; attempt.histograms(..)?; attempt.samples(..)?; attempt.logs(..)?;
//!   let files = attempt.finish(&mut record)?;                        temporary directory -> final name
//!   journal.append(AttemptFinished::of(&record, files))
//! ```

pub mod atomic;
mod attempt;
mod digest;
mod error;
mod format_2;
pub mod journal;
pub mod jtl;
mod load_record;
mod manifest;
mod record;
mod redact;
mod run;
pub mod samples;
#[cfg(test)]
mod tests;
mod verdict;

pub use atomic::FORMAT;
pub use attempt::{AttemptWriter, LATENCY, REQUESTS, SAMPLES, TRIAL, WARM_UP, read_histograms};
pub use digest::{FileSum, HashingWriter};
pub(crate) use error::At;
pub use error::StoreError;
pub use journal::{Journal, Progress, TrialProgress};
pub use jtl::{JtlContext, JtlReader};
pub use load_record::{
    ExternalRecord, FigureRecord, GeneratorRecord, KneeRecord, LabelRecord, LabelTallies, LoaderRecord, RampRecord,
    RequestCounts, external_response,
};
pub use loader::latency::{Distribution, Latency};
pub use manifest::{
    ExperimentRecord, LoadRecord, LoaderMachine, Manifest, PlannedTrial, PlatformRecord, Preflight, Skip, Source,
    WorkloadRecord,
};
pub use record::{
    AttemptKey, CellKey, ClockOffset, FailureRecord, ReadbackCheck, ReadbackRecord, RunId, SamplingRecord,
    SettleRecord, TrialKey, TrialRecord, Window,
};
pub use run::RunFolder;
pub use verdict::{Reason, Rule, Validity, Verdict};
