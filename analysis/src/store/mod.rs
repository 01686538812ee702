//! The folder of a run: raw data first, whole or not there, never overwritten. `results/README.md` describes the format.
//!
//! ```text
//! RunFolder::create(results, &mut manifest) -> (folder, journal)     or RunFolder::resume(path)
//!   journal.append(TrialStarted)
//!   let mut attempt = folder.begin(&key)?;
//!   attempt.requests(..)?; attempt.histograms(..)?; attempt.samples(..)?; attempt.logs(..)?;
//!   let files = attempt.finish(&mut record)?;                        temp folder -> its name
//!   journal.append(AttemptFinished::of(&record, files))
//! ```

pub mod atomic;
mod attempt;
mod digest;
mod error;
pub mod external;
mod format_2;
mod generator;
mod host;
pub mod journal;
pub mod jtl;
mod jtl_reader;
mod label;
pub mod latency;
mod loader;
mod manifest;
mod ramp;
mod record;
mod recover;
mod redact;
mod request;
mod resume;
mod run;
pub mod samples;
#[cfg(test)]
mod tests;
mod truth;
mod verdict;

pub use ::loader::latency::{Distribution, Latency};
pub use attempt::{AttemptWriter, LATENCY, REQUESTS, SAMPLES, TRIAL, WARM_UP};
pub use digest::{FileSum, Summing};
pub use error::StoreError;
pub use external::ExternalRecord;
pub use generator::GeneratorRecord;
pub use host::{BandRecord, Preflight};
pub use journal::Journal;
pub use jtl::JtlContext;
pub use jtl_reader::JtlReader;
pub use label::{LabelRecord, LabelTallies};
pub use loader::{LoaderMachine, LoaderRecord};
pub use manifest::{
    ExperimentRecord, LoadRecord, Manifest, PlannedTrial, PlatformRecord, Skip, Source, WorkloadRecord,
};
pub use ramp::{KneeRecord, RampRecord};
pub use record::{
    AttemptKey, CellKey, ClockOffset, FORMAT, FailureRecord, SamplingRecord, TrialKey, TrialRecord, Window,
};
pub use request::RequestCounts;
pub use resume::{Progress, TrialProgress};
pub use run::{RunFolder, RunId};
pub use truth::{TruthCheck, TruthRecord};
pub use verdict::{Reason, Rule, Validity, Verdict};
