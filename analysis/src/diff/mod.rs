//! What differed between two runs, of two nights, say: what they were run with, and what came out.
//!
//! * `setup` — experiment, file, programs and hosts, value by value.
//! * `results` — the medians of every cell with their intervals, and whether they differ by more than chance.
//! * `show` — for people and for programs.

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

/// Two runs, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// The first run: its folder.
    pub one: String,
    /// The second.
    pub other: String,
    /// What they were run with that is not the same.
    pub setup: Vec<Difference>,
    /// What is worth knowing and no difference: a host that was started anew, how busy it was.
    pub notes: Vec<String>,
    /// Every figure that both have, and those that only one has.
    pub results: Vec<Change>,
    /// What is altered or contradictory in the raw data of either.
    pub problems: Vec<String>,
}

/// The level below which a corrected p-value speaks of a difference.
pub const LEVEL: f64 = 0.05;

impl Diff {
    /// Whether the two were run with the same, and no figure differs by more than chance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.setup.is_empty() && self.results.iter().all(|change| !change.is_significant())
    }
}

/// Compares two runs by their folders. Reads only.
///
/// # Errors
/// [`ReportError`]: one of them is no run, or cannot be read.
pub fn diff(one: &Path, other: &Path) -> Result<Diff, ReportError> {
    let (a, b) = (report::figures(one)?, report::figures(other)?);
    let name = |path: &Path| path.display().to_string();
    let of = |run: &str, problems: &[String]| -> Vec<String> {
        problems.iter().map(|problem| format!("{run}: {problem}")).collect()
    };
    let mut problems = of(&name(one), &a.problems);
    problems.extend(of(&name(other), &b.problems));
    Ok(Diff {
        one: name(one),
        other: name(other),
        setup: setup::differences(&a.manifest, &b.manifest),
        notes: setup::notes(&a.manifest, &b.manifest),
        results: results::changes(&a, &b),
        problems,
    })
}
