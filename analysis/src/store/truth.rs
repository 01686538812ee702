//! What a workload's services really did, as far as it can be read back after the load.

use serde::{Deserialize, Serialize};

/// The truth of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TruthRecord {
    /// What was compared.
    pub checks: Vec<TruthCheck>,
    /// Why it could not be read back; `None`: it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One comparison of what should have happened with what did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TruthCheck {
    /// What has to be so, in words.
    pub what: String,
    /// How many cases were looked at.
    pub checked: u64,
    /// In how many it was not so.
    pub wrong: u64,
    /// Whether one wrong case makes the trial invalid; otherwise it is suspect.
    pub binding: bool,
    /// The slowest case, ns, where it is a matter of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest_ns: Option<u64>,
}

impl TruthRecord {
    /// Whether everything was read back and is so.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.problem.is_none() && self.checks.iter().all(|check| check.wrong == 0)
    }
}
