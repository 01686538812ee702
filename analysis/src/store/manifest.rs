//! `manifest.json`: what was ordered, where, with which programs. Written once, before the first trial.

use std::path::Path;

use jiff::Timestamp;
use protocol::Name;
use protocol::facts::HostFacts;
use protocol::spec::{PlatformSpec, Resources};
use serde::{Deserialize, Serialize};

use protocol::load::{LoadSpec, MachineFacts, Transport};

use super::digest::FileSum;
use super::host::Preflight;
use super::loader::LoaderMachine;
use super::record::{CellKey, FORMAT, TrialKey};
use super::redact::redacted;
use super::run::RunId;

/// The manifest of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The run's name; given by [`super::RunFolder::create`].
    pub run: RunId,
    /// When it began.
    pub started: Timestamp,
    /// The experiment as it was checked.
    pub experiment: ExperimentRecord,
    /// The file that it was read from.
    pub source: Source,
    /// Every trial in the order of the plan.
    pub plan: Vec<PlannedTrial>,
    /// The controller and its host.
    pub controller: MachineFacts,
    /// The loaders that fire together; empty: the controller fires the load itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaders: Vec<LoaderMachine>,
    /// The hosts that the services run on.
    pub hosts: Vec<HostFacts>,
    /// Platforms that were left out, with the reason.
    pub left_out: Vec<String>,
    /// How the host was held against `[host]`.
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
    /// The seed of the order and of everything random in the report.
    pub seed: u64,
    /// `randomized-blocks` or `batch`.
    pub order: String,
    /// How often a trial is tried at most.
    pub max_attempts: u32,
    /// The platform that ratios are taken to.
    pub baseline: Name,
    /// The platforms that take part, in the file's order.
    pub platforms: Vec<PlatformRecord>,
    /// The workloads, in the file's order.
    pub workloads: Vec<WorkloadRecord>,
    /// The loads, in the file's order.
    pub loads: Vec<LoadRecord>,
    /// Cells that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<Skip>,
    /// The limits that every service gets.
    pub resources: Resources,
    /// The distance of two samples, ms.
    pub sampling_interval_ms: u64,
    /// The loaders that fire together; empty: the controller fires the load itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaders: Vec<Name>,
}

/// A platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformRecord {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub spec: PlatformSpec,
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRecord {
    /// Its name.
    pub name: Name,
    /// What it is, in words.
    pub what: String,
    /// What it speaks: only loads of the same make cells with it.
    #[serde(default)]
    pub speech: Transport,
}

/// A load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadRecord {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub spec: LoadSpec,
}

/// Cells that are left out: those that have every name that is given.
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
    /// Whether a cell has every name that is given.
    #[must_use]
    pub fn covers(&self, platform: &Name, workload: &Name, load: &Name) -> bool {
        let fits = |given: &Option<Name>, name: &Name| given.as_ref().is_none_or(|given| given == name);
        fits(&self.platform, platform) && fits(&self.workload, workload) && fits(&self.load, load)
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
    /// Its path as it was given.
    pub path: String,
    /// The sum of its bytes.
    pub sum: FileSum,
    /// Its text; the values of keys that name secrets are replaced by `***`.
    pub text: String,
}

impl Source {
    /// Keeps a file's text.
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
    /// A manifest of now, for all platforms of `experiment`; the caller strikes those left out from `experiment.platforms`.
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

    /// The trial's position in the plan.
    #[must_use]
    pub fn index_of(&self, trial: &TrialKey) -> Option<u32> {
        self.plan.iter().find(|p| p.trial == *trial).map(|p| p.index)
    }
}

impl ExperimentRecord {
    /// Every cell that is not left out, by workload, then load, then platform, as tables show them.
    pub fn cells(&self) -> impl Iterator<Item = CellKey> + '_ {
        let left_out = |cell: &CellKey| {
            let mut skips = self.skips.iter();
            skips.any(|skip| skip.covers(&cell.platform, &cell.workload, &cell.load))
        };
        self.all().filter(move |cell| !left_out(cell))
    }

    fn all(&self) -> impl Iterator<Item = CellKey> + '_ {
        self.workloads.iter().flat_map(move |workload| {
            let speaks = |load: &&LoadRecord| load.spec.kind.supports(workload.speech);
            self.loads.iter().filter(speaks).flat_map(move |load| {
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
    fn secrets_do_not_get_into_results_and_the_sum_is_of_the_file() {
        let text = "name = \"x\"\n\"sasl.password\" = \"hunter2\" # mine\n";
        let source = Source::of(Path::new("experiments.toml"), text);
        assert_eq!(source.text, "name = \"x\"\n\"sasl.password\" = \"***\"\n");
        assert_eq!(source.sum, FileSum::of_bytes(text.as_bytes()));
    }
}
