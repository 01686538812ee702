//! What each of several loaders did of a load.

use protocol::Name;
use protocol::load::MachineFacts;
use serde::{Deserialize, Serialize};

use super::generator::GeneratorRecord;
use super::request::RequestCounts;
use loader::latency::Distribution;

/// A loader and its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderMachine {
    /// The loader's name.
    pub name: Name,
    /// What it said of its machine when the run began.
    pub facts: MachineFacts,
}

impl From<(Name, MachineFacts)> for LoaderMachine {
    fn from((name, facts): (Name, MachineFacts)) -> Self {
        Self { name, facts }
    }
}

/// What one of several loaders did of a load. The requests, histograms and generator figures of the attempt are those of all together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderRecord {
    /// Its name.
    pub host: Name,
    /// Its part of the requests.
    pub requests: RequestCounts,
    /// Their response times.
    pub response: Distribution,
    /// Their lag.
    pub lag: Distribution,
    /// What its threads took.
    pub generator: GeneratorRecord,
    /// How long after the ordered instant it began by all that is known of its clock, ns; negative: before.
    pub skew_ns: i64,
    /// How far off that may be: half of the shortest round trip, ns.
    pub clock_error_ns: u64,
    /// How many exchanges that rests on.
    pub exchanges: u32,
}

impl LoaderRecord {
    /// When it began, at the latest or at the earliest, whichever is further off, ns.
    #[must_use]
    pub const fn furthest_ns(&self) -> u64 {
        self.skew_ns.unsigned_abs().saturating_add(self.clock_error_ns)
    }
}
