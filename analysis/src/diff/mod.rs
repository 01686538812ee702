//! Comparison of two runs: their configuration, and their results.
//!
//! * `setup` — experiment, experiment file, programs and hosts, value by value.
//! * `results` — the medians of every cell with confidence intervals, and whether they differ significantly.
//! * `show` — text and JSON output.

pub mod results;
pub mod setup;
mod show;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;

use crate::report::{self, ReportError};
use results::Change;
use setup::Difference;

pub use show::{json, text};

/// The comparison of two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// The directory of the first run.
    pub one: String,
    /// The second.
    pub other: String,
    /// Differences in configuration.
    pub setup: Vec<Difference>,
    /// Changes that are not differences in configuration: a reboot, another load average.
    pub notes: Vec<String>,
    /// Every metric of either run.
    pub results: Vec<Change>,
    /// What was altered or inconsistent in the raw data of either run.
    pub problems: Vec<String>,
}

impl Diff {
    /// Whether configurations are equal and no metric differs significantly.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.setup.is_empty() && self.results.iter().all(|change| !change.is_significant())
    }
}

/// Compares two runs by their directories; writes nothing.
///
/// # Errors
/// [`ReportError`]: one of them is not a run, or cannot be read.
pub fn diff(one: &Path, other: &Path) -> Result<Diff, ReportError> {
    let (a, b) = (report::figures(one)?, report::figures(other)?);
    let name = |path: &Path| path.display().to_string();
    let prefixed = |run: &str, problems: &[String]| -> Vec<String> {
        problems.iter().map(|problem| format!("{run}: {problem}")).collect()
    };
    let mut problems = prefixed(&name(one), &a.problems);
    problems.extend(prefixed(&name(other), &b.problems));
    let mut differences = setup::differences(&a.manifest, &b.manifest);
    differences.extend(setup::services(&a.services, &b.services));
    Ok(Diff {
        one: name(one),
        other: name(other),
        setup: differences,
        notes: setup::notes(&a.manifest, &b.manifest),
        results: results::changes(&a, &b),
        problems,
    })
}
