//! What is known of a load that another program fired.

use serde::{Deserialize, Serialize};

use loader::latency::Distribution;
use loader::{Outcome, external::External};

/// What is known of a load that another program fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalRecord {
    /// The program.
    pub program: String,
    /// What it cannot tell.
    pub absent: Vec<String>,
    /// Whether it tells of every request; otherwise `requests.jtl` and `latency.hdr` are empty.
    pub requests: bool,
    /// What it wrote, where that is short.
    pub report: String,
}

impl ExternalRecord {
    /// The record of a program.
    #[must_use]
    pub fn of(external: &External) -> Self {
        Self {
            program: external.program.to_owned(),
            absent: external.absent.iter().map(|&word| word.to_owned()).collect(),
            requests: external.requests,
            report: external.report.clone(),
        }
    }
}

/// The response times of a program that tells no more than these; 0 where it does not tell.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are positive, and `as` saturates"
)]
pub fn response(outcome: &Outcome) -> Option<Distribution> {
    let [min, mean, sd, median, max] = outcome.external.as_ref()?.response_ns?;
    Some(Distribution {
        count: outcome.counts.succeeded,
        min_ns: min as u64,
        mean_ns: mean,
        sd_ns: sd,
        p50_ns: median as u64,
        max_ns: max as u64,
        ..Distribution::default()
    })
}
