//! `experiments.toml`: from text to a checked [`Experiment`].
//!
//! ```text
//! file --source--> text --table--> RawExperiment --check--> Experiment
//!          |                 |                      |
//!          +-----------------+----------------------+--> every Problem at once: file, line, table, key, value, remedy
//! ```
//! serde's derive stops at the first fault of a file, so the raw types read a tree of values with spans ([`toml::de::DeTable`]) instead: a
//! text where a number is due is one problem among others and hides none.

mod check;
mod duration;
mod experiment;
mod field;
mod host;
mod jung;
mod overrides;
mod problem;
mod raw;
mod record;
mod section;
mod show;
mod source;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod workloads;

use std::path::Path;

pub use analysis::store::Skip;
pub use check::Checked;
pub use duration::show as show_duration;
pub use experiment::*;
pub use host::{Band, HostNeeds, Need, Otherwise};
pub use jung::{Amounts, JungWorkload, Service, ServicesKafka};
pub use overrides::Overrides;
pub use problem::{Problem, Severity};
pub use raw::RawExperiment;
pub use show::{problems_json, problems_text};
pub use workloads::*;

/// Reads and checks an experiment file. It reads that file and the key file that it names, and changes nothing.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Checked, Vec<Problem>> {
    let text = source::read(path)?;
    parse(&path.display().to_string(), &text, overrides)
}

/// Checks the text of an experiment file; `file` is what problems call it.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn parse(file: &str, text: &str, overrides: &Overrides) -> Result<Checked, Vec<Problem>> {
    let (mut raw, problems) = RawExperiment::parse(file, text)?;
    overrides.apply(&mut raw);
    check::check(&raw, text, problems)
}

#[cfg(test)]
mod tests;
