//! `trial.json`: the record of one attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use protocol::event::Ready;
use protocol::facts::HostState;
use protocol::load::{Little, LoadSpec, TlsStats, UdpStats};
use protocol::spec::{Emulation, PlatformSpec};
use protocol::summary::Summary;
use protocol::{AttemptId, Name};
use serde::{Deserialize, Serialize};

use super::digest::FileSum;
use super::error::StoreError;
use super::load_record::{ExternalRecord, GeneratorRecord, LabelRecord, LoaderRecord, RampRecord, RequestCounts};
use super::verdict::Verdict;
use super::{atomic, format_2};
use crate::stats::breakdown::ResourceBreakdown;
use crate::stats::usage::ServiceUsage;
use loader::latency::Latency;

/// The id of a run: the UTC time of its start, `20261122T020102Z`; if it is taken, the next free second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The format of a run id.
const RUN_ID_FORMAT: &str = "%Y%m%dT%H%M%SZ";

impl RunId {
    /// The id for a start time.
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        Self(time.strftime(RUN_ID_FORMAT).to_string())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match DateTime::strptime(RUN_ID_FORMAT, text) {
            Ok(_) if text.len() == 16 => Ok(Self(text.to_owned())),
            _ => Err(format!("{text:?} is not a run id such as 20261122T020102Z")),
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

/// A combination of platform, workload and load.
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

/// One fresh deployment of a cell; it may take several attempts.
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
    /// Its directory below the run: `<cell>/<block>-<attempt>`.
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

/// The record of one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRecord {
    /// [`FORMAT`](super::FORMAT).
    pub format: u32,
    /// Which attempt.
    pub key: AttemptKey,
    /// Its id in every message.
    pub attempt_id: AttemptId,
    /// The position of the trial in the plan, from 0; drift is tested against it.
    pub index: u32,
    /// The platform's specification.
    pub platform: PlatformSpec,
    /// Wall-clock time of the first RUN.
    pub started: Timestamp,
    /// Wall-clock time of the last reply.
    pub ended: Timestamp,
    /// The wait until the host was within the limits of `[band]`; `None`: there are no limits.
    #[serde(default, rename = "band")]
    pub settle: Option<SettleRecord>,
    /// The load, as requested.
    pub load: LoadSpec,
    /// The READY message; `None`: it never arrived.
    pub ready: Option<Ready>,
    /// The estimated offset between the two clocks.
    pub clock: Option<ClockOffset>,
    /// The measurement window; `None`: no load was generated.
    pub window: Option<Window>,
    /// Request counts.
    pub requests: RequestCounts,
    /// Both sides of Little's law; `None`: no load was generated.
    pub little: Option<Little>,
    /// Resource usage of the load generator; `None`: no load was generated, or by another program.
    #[serde(default)]
    pub generator: Option<GeneratorRecord>,
    /// The part of each loader; empty: the controller generated the load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaders: Vec<LoaderRecord>,
    /// Latency distributions; `None`: no load was generated.
    pub latency: Option<Latency>,
    /// Figures per request label, if the load has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelRecord>,
    /// The program that generated the load, if it was not a load engine of Jung.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalRecord>,
    /// The search for the highest rate, for loads that are one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<RampRecord>,
    /// The readback of what the services did, for workloads that support it.
    #[serde(rename = "truth")]
    pub readback: Option<ReadbackRecord>,
    /// The received samples.
    pub sampling: SamplingRecord,
    /// Auxiliary services: processes of the host whatever the platform, not part of its figures.
    #[serde(default, rename = "beside", skip_serializing_if = "BTreeSet::is_empty")]
    pub auxiliary: BTreeSet<Name>,
    /// Figures of a packet stream; `None`: another load.
    #[serde(default)]
    pub udp: Option<UdpStats>,
    /// TLS handshakes of the load; `None`: a load without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStats>,
    /// CPU and memory in the measurement window, per service.
    pub resources: Vec<ServiceUsage>,
    /// The resource breakdown of the measurement window; `None`: there was no window, or no samples.
    #[serde(rename = "ledger")]
    pub breakdown: Option<ResourceBreakdown>,
    /// The runner's SUMMARY; `None`: it never arrived.
    pub summary: Option<Summary>,
    /// Why the attempt was aborted; `None`: it was not.
    pub failure: Option<FailureRecord>,
    /// The verdict of the audit.
    pub verdict: Verdict,
    /// The other files of the directory, filled in by [`super::AttemptWriter::finish`].
    pub files: BTreeMap<String, FileSum>,
}

impl TrialRecord {
    /// Reads `trial.json` of this format or of an earlier one.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Malformed`], and [`StoreError::Format`] for a newer format.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let mut record: Self = atomic::read_versioned(path, format_2::upgrade_trial)?;
        if let Some(ready) = &mut record.ready {
            find_emulation(ready);
        }
        Ok(record)
    }

    /// Deviations from the fairness contract.
    #[must_use]
    pub fn deviations(&self) -> &[String] {
        self.ready.as_ref().map_or(&[], |ready| &ready.deviations)
    }

    /// The resource usage of the services on the platform.
    pub fn on_platform(&self) -> impl Iterator<Item = &ServiceUsage> {
        self.resources
            .iter()
            .filter(|used| !self.auxiliary.contains(&used.service))
    }
}

/// How the deviation of emulated guests began in files of format 3 and earlier that lack READY's field `emulation`.
const EMULATED: &str = "emulated (TCG): the guest's instructions are translated, not executed, so its times and rates are not those of a machine with virtualisation";

/// Moves emulation from the deviations of an older file to its field.
fn find_emulation(ready: &mut Ready) {
    let emulation = &mut ready.emulation;
    ready.deviations.retain(|text| {
        let Some(more) = text.strip_prefix(EMULATED) else {
            return true;
        };
        let kvm_failure = more.strip_prefix("; KVM was tried: ").map(str::to_owned);
        *emulation = Some(Emulation { kvm_failure });
        false
    });
}

/// The runner's monotonic clock minus the controller's, from PING exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockOffset {
    /// The estimate, ns.
    pub offset_ns: i64,
    /// The error of the estimate: half the shortest round trip, ns.
    pub error_ns: u64,
    /// The number of exchanges.
    pub exchanges: u32,
}

/// The measurement window on both clocks.
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
    /// The error of its edges on the runner's clock, ns.
    pub error_ns: u64,
}

/// The received samples, to be compared with what the runner sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingRecord {
    /// The sampling interval, ms.
    pub interval_ms: u64,
    /// Distinct batches received.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// Clock ticks per second on the runner's host.
    pub ticks_per_s: u64,
}

/// Why an attempt was aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureRecord {
    /// The stage of the runner, or the phase of the controller.
    pub stage: String,
    /// The cause.
    pub why: String,
}

/// The wait before a trial until the host was within the limits of `[band]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettleRecord {
    /// Duration, ns.
    pub waited_ns: u64,
    /// Limits still exceeded at the end.
    pub outside: Vec<String>,
    /// The host at the end of the wait.
    pub host: HostState,
}

/// The readback of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadbackRecord {
    /// The comparisons.
    pub checks: Vec<ReadbackCheck>,
    /// Why the readback failed; `None`: it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One comparison of what the services accepted with what they did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadbackCheck {
    /// The requirement, in words.
    pub what: String,
    /// Cases checked.
    pub checked: u64,
    /// Cases that violate the requirement.
    pub wrong: u64,
    /// Whether one violation makes the trial invalid; otherwise it is suspect.
    pub binding: bool,
    /// The slowest case, ns, if the requirement is about time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest_ns: Option<u64>,
}

impl ReadbackRecord {
    /// Whether the readback succeeded and found no violation.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problem.is_none() && self.checks.iter().all(|check| check.wrong == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_in_an_older_file_is_found() {
        let text = format!(
            "{{\"clock_ns\": 1, \"endpoints\": [], \"startup\": [], \"prepare_ns\": 1, \"deviations\": [\"no memory limit\", \"{EMULATED}; KVM was tried: no /dev/kvm\"]}}"
        );
        let mut ready: Ready = serde_json::from_str(&text).unwrap();
        find_emulation(&mut ready);
        assert_eq!(ready.deviations, ["no memory limit"]);
        assert_eq!(ready.emulation.unwrap().kvm_failure.as_deref(), Some("no /dev/kvm"));
    }
}
