//! `trial.json`: everything that is known of one attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use protocol::event::Ready;
use protocol::load::{Little, LoadSpec, UdpStats};
use protocol::spec::PlatformSpec;
use protocol::summary::Summary;
use protocol::{AttemptId, Name};
use serde::{Deserialize, Serialize};

use super::digest::FileSum;
use super::external::ExternalRecord;
use super::generator::GeneratorRecord;
use super::host::BandRecord;
use super::label::LabelRecord;
use super::loader::LoaderRecord;
use super::ramp::RampRecord;
use super::request::RequestCounts;
use super::truth::TruthRecord;
use super::verdict::Verdict;
use super::{StoreError, atomic, format_2};
use crate::stats::ledger::Ledger;
use crate::stats::usage::ServiceUse;
use loader::latency::Latency;

/// The number of the format of all JSON files of a run.
pub const FORMAT: u32 = 3;

/// A platform, a workload and a load.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellKey {
    /// The platform's name.
    pub platform: Name,
    /// The workload's name.
    pub workload: Name,
    /// The load's name.
    pub load: Name,
}

impl fmt::Display for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.platform, self.workload, self.load)
    }
}

/// One fresh deployment of a cell, which may take several attempts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialKey {
    /// The block, from 1.
    pub block: u32,
    /// The cell.
    pub cell: CellKey,
}

/// One attempt at a trial.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptKey {
    /// The trial.
    pub trial: TrialKey,
    /// The attempt, from 1.
    pub attempt: u32,
}

impl AttemptKey {
    /// Its folder below the run: `<cell>/<block>-<attempt>`.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}/{}-{}", self.trial.cell, self.trial.block, self.attempt)
    }
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.folder())
    }
}

/// Everything that is known of one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// Which attempt.
    pub key: AttemptKey,
    /// Its identity in every message.
    pub attempt_id: AttemptId,
    /// The position of the trial in the plan, from 0: the abscissa of drift.
    pub index: u32,
    /// What the services ran on.
    pub platform: PlatformSpec,
    /// Wall-clock time at the first RUN.
    pub started: Timestamp,
    /// Wall-clock time when the last answer was in.
    pub ended: Timestamp,
    /// The wait until the host was back in band; `None`: nothing is asked of it.
    #[serde(default)]
    pub band: Option<BandRecord>,
    /// The load that was ordered.
    pub load: LoadSpec,
    /// What READY said; `None`: it never came.
    pub ready: Option<Ready>,
    /// The estimate of the distance between the two clocks.
    pub clock: Option<ClockOffset>,
    /// When was measured; `None`: no load was generated.
    pub window: Option<Window>,
    /// The requests.
    pub requests: RequestCounts,
    /// Both sides of Little's law; `None`: no load was generated.
    pub little: Option<Little>,
    /// What the generator took; `None`: no load was generated, or its engine is another program that does not tell.
    #[serde(default)]
    pub generator: Option<GeneratorRecord>,
    /// What each of several loaders did; empty: the controller fired the load itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaders: Vec<LoaderRecord>,
    /// Their times; `None`: no load was generated.
    pub latency: Option<Latency>,
    /// The same by what was asked, where the load has several calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelRecord>,
    /// What is known of the program that fired, where it was not one of our engines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalRecord>,
    /// What the search for the highest rate found, of a load that is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<RampRecord>,
    /// What the services really did, where that can be read back.
    pub truth: Option<TruthRecord>,
    /// The samples that arrived.
    pub sampling: SamplingRecord,
    /// The services that were processes of the host whatever the platform; they are no part of its figures.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub beside: BTreeSet<Name>,
    /// What only a stream of packets has; `None`: the load was another one.
    #[serde(default)]
    pub udp: Option<UdpStats>,
    /// CPU and memory in the measured window, one a service.
    pub resources: Vec<ServiceUse>,
    /// Where all of the host's CPU and memory went in the measured window; `None`: there was none, or nothing was sampled.
    pub ledger: Option<Ledger>,
    /// What the runner summed up; `None`: it never did.
    pub summary: Option<Summary>,
    /// Why it was aborted; `None`: it was not.
    pub failure: Option<FailureRecord>,
    /// What the audit says.
    pub verdict: Verdict,
    /// The other files of the folder, filled in by [`super::AttemptWriter::finish`].
    pub files: BTreeMap<String, FileSum>,
}

impl TrialRecord {
    /// Reads `trial.json`, of this format or of format 2.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Malformed`], and [`StoreError::Format`] for one of a later program.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        atomic::read_versioned(path, format_2::upgrade_trial)
    }

    /// What of the fairness contract was not kept.
    #[must_use]
    pub fn deviations(&self) -> &[String] {
        self.ready.as_ref().map_or(&[], |ready| &ready.deviations)
    }

    /// What the services used that were on the platform.
    pub fn on_platform(&self) -> impl Iterator<Item = &ServiceUse> {
        self.resources
            .iter()
            .filter(|used| !self.beside.contains(&used.service))
    }
}

/// The runner's monotonic clock minus the controller's, from a ping exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockOffset {
    /// The estimate, ns.
    pub offset_ns: i64,
    /// Half the shortest round trip, ns: the estimate is no further off than this.
    pub error_ns: u64,
    /// How many exchanges it rests on.
    pub exchanges: u32,
}

/// The measured window on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The load's origin, ns since 1970: the zero of every time in `requests.jtl`.
    pub origin_epoch_ns: u64,
    /// Its beginning, ns since the origin.
    pub start_ns: u64,
    /// Its end, ns since the origin.
    pub end_ns: u64,
    /// Its beginning on the runner's clock, ns since READY.
    pub runner_start_ns: u64,
    /// Its end on the runner's clock, ns since READY.
    pub runner_end_ns: u64,
    /// How far off the runner's two may be, ns.
    pub error_ns: u64,
}

/// The samples that arrived, to be held against what the runner says it sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingRecord {
    /// The distance of two samples, ms.
    pub interval_ms: u64,
    /// Batches that arrived, each counted once.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// The clock ticks a second of the runner's host.
    pub ticks_per_s: u64,
}

/// Why an attempt was aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureRecord {
    /// Where: a stage of the runner, or a phase of the controller.
    pub stage: String,
    /// What broke.
    pub why: String,
}
