//! `manifest.json`: what was to be run, where, and with which programs. Written once, before the first trial.

use std::path::Path;

use jiff::Timestamp;
use protocol::Name;
use protocol::facts::HostFacts;
use protocol::spec::{PlatformSpec, Resources};
use serde::{Deserialize, Serialize};

use protocol::load::{LoadSpec, MachineFacts, Transport};

use super::atomic::FORMAT;
use super::digest::FileSum;
use super::record::{CellKey, RunId, TrialKey};
use super::redact::redacted;

/// The manifest of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The run's id, assigned by [`super::RunFolder::create`].
    pub run: RunId,
    /// When it began.
    pub started: Timestamp,
    /// The experiment, as checked.
    pub experiment: ExperimentRecord,
    /// The experiment file.
    pub source: Source,
    /// Every trial in the order of the plan.
    pub plan: Vec<PlannedTrial>,
    /// The controller's version and host.
    pub controller: MachineFacts,
    /// The loaders; empty: the controller generates the load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaders: Vec<LoaderMachine>,
    /// Host facts of the target hosts.
    pub hosts: Vec<HostFacts>,
    /// Platforms that were left out, with the reason.
    pub left_out: Vec<String>,
    /// The result of comparing the host with `[host]`.
    #[serde(default)]
    pub preflight: Preflight,
}

/// The experiment, as far as reports need it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentRecord {
    /// Its name.
    pub name: Name,
    /// The number of blocks.
    pub iterations: u32,
    /// The seed of the trial order and of the bootstrap.
    pub seed: u64,
    /// `randomized-blocks` or `batch`.
    pub order: String,
    /// The maximum number of attempts per trial.
    pub max_attempts: u32,
    /// The platform to which the others are compared.
    pub baseline: Name,
    /// The platforms, in the file's order.
    pub platforms: Vec<PlatformRecord>,
    /// The workloads, in the file's order.
    pub workloads: Vec<WorkloadRecord>,
    /// The loads, in the file's order.
    pub loads: Vec<LoadRecord>,
    /// Combinations that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<Skip>,
    /// The limits of every service.
    pub resources: Resources,
    /// The sampling interval, ms.
    pub sampling_interval_ms: u64,
    /// The loaders; empty: the controller generates the load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaders: Vec<Name>,
}

/// A platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformRecord {
    /// Its name.
    pub name: Name,
    /// Its specification.
    pub spec: PlatformSpec,
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRecord {
    /// Its name.
    pub name: Name,
    /// A description.
    pub what: String,
    /// Its transport: it forms cells with loads of the same transport only.
    #[serde(default, rename = "speech")]
    pub transport: Transport,
}

/// A load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadRecord {
    /// Its name.
    pub name: Name,
    /// Its specification.
    pub spec: LoadSpec,
}

/// Combinations that are left out: those that match every given name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The platform; `None`: any.
    pub platform: Option<Name>,
    /// The workload; `None`: any.
    pub workload: Option<Name>,
    /// The load; `None`: any.
    pub load: Option<Name>,
}

impl Skip {
    /// Whether a combination matches every given name.
    #[must_use]
    pub fn covers(&self, platform: &Name, workload: &Name, load: &Name) -> bool {
        let fits = |given: &Option<Name>, name: &Name| given.as_ref().is_none_or(|given| given == name);
        fits(&self.platform, platform) && fits(&self.workload, workload) && fits(&self.load, load)
    }
}

/// The result of comparing the host with `[host]` before the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preflight {
    /// Requirements that are met.
    pub met: Vec<String>,
    /// Requirements that are not met and are waived.
    pub waived: Vec<String>,
    /// CPUs that services, runner and load generator share.
    pub shared_cpus: Vec<String>,
}

/// A loader and its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderMachine {
    /// Its name.
    pub name: Name,
    /// Host facts, read when the run began.
    pub facts: MachineFacts,
}

impl From<(Name, MachineFacts)> for LoaderMachine {
    fn from((name, facts): (Name, MachineFacts)) -> Self {
        Self { name, facts }
    }
}

/// One trial of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedTrial {
    /// Its position, from 0.
    pub index: u32,
    /// Which trial.
    pub trial: TrialKey,
}

/// The file that the experiment was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The path, as given.
    pub path: String,
    /// Length and checksum of its bytes.
    pub sum: FileSum,
    /// Its text; the values of keys that name secrets are replaced by `***`.
    pub text: String,
}

impl Source {
    /// Records a file.
    #[must_use]
    pub fn of(path: &Path, text: &str) -> Self {
        Self {
            path: path.display().to_string(),
            sum: FileSum::of_bytes(text.as_bytes()),
            text: redacted(text),
        }
    }
}

impl Manifest {
    /// A manifest for all platforms of `experiment`, started now; the caller removes unused platforms from `experiment.platforms`.
    #[must_use]
    pub fn new(experiment: ExperimentRecord, source: Source, plan: Vec<PlannedTrial>, hosts: Vec<HostFacts>) -> Self {
        let started = Timestamp::now();
        Self {
            format: FORMAT,
            run: RunId::at(started),
            started,
            experiment,
            source,
            plan,
            controller: loader::facts::read(None),
            loaders: Vec::new(),
            hosts,
            left_out: Vec::new(),
            preflight: Preflight::default(),
        }
    }
}

impl ExperimentRecord {
    /// Every cell that is not left out, ordered by workload, load, platform.
    pub fn cells(&self) -> impl Iterator<Item = CellKey> + '_ {
        let skipped = |cell: &CellKey| {
            let mut skips = self.skips.iter();
            skips.any(|skip| skip.covers(&cell.platform, &cell.workload, &cell.load))
        };
        self.combinations().filter(move |cell| !skipped(cell))
    }

    fn combinations(&self) -> impl Iterator<Item = CellKey> + '_ {
        self.workloads.iter().flat_map(move |workload| {
            let matches = |load: &&LoadRecord| load.spec.kind.supports(workload.transport);
            self.loads.iter().filter(matches).flat_map(move |load| {
                self.platforms.iter().map(move |platform| CellKey {
                    platform: platform.name.clone(),
                    workload: workload.name.clone(),
                    load: load.name.clone(),
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_and_the_checksum_is_of_the_original() {
        let text = "name = \"x\"\n\"sasl.password\" = \"hunter2\" # mine\n";
        let source = Source::of(Path::new("experiments.toml"), text);
        assert_eq!(source.text, "name = \"x\"\n\"sasl.password\" = \"***\"\n");
        assert_eq!(source.sum, FileSum::of_bytes(text.as_bytes()));
    }
}
