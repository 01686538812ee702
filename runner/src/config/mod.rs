//! `runner.toml`: from a file, the environment and the command line to a checked [`Config`].
//!
//! Flags override `JUNG_RUNNER__KEY` in the environment, which overrides the file. [`protocol::toml`] reads these layers and collects problems;
//! [`check`] decides; [`defaults`] has the values of keys that are not set.

pub mod check;
pub mod defaults;
mod raw;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use protocol::toml::{Document, FileRemedies, Problem, Table, read};

pub use check::Config;
use raw::RawConfig;

/// The prefix of environment variables.
const PREFIX: &str = "JUNG_RUNNER__";

/// What to do about a configuration file that cannot be read.
const REMEDIES: FileRemedies = FileRemedies {
    directory: "name the file in it: --config DIR/runner.toml",
    missing: "name an existing file with --config, or omit it: every key has a default",
    too_large: "see runner.example.toml for the format",
};

/// The values that the command line sets, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub BTreeMap<&'static str, String>);

impl Config {
    /// Reads and checks all layers. `environment` is the process's own except in tests.
    ///
    /// # Errors
    /// Every problem.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Self, Vec<Problem>> {
        let flags = flags
            .0
            .iter()
            .map(|(key, value)| Document::of_value(format!("option --{key}"), &[key], value));
        let variables = environment.into_iter().filter_map(|(variable, value)| {
            let key = variable.strip_prefix(PREFIX)?.to_lowercase();
            let path: Vec<&str> = key.split("__").collect();
            Some(Document::of_value(format!("variable {variable}"), &path, &value))
        });
        let mut documents: Vec<Document<'_>> = flags.chain(variables).collect();
        let text = file.map(|file| read(file, REMEDIES)).transpose()?.unwrap_or_default();
        let name = file.map_or_else(|| "configuration".to_owned(), |file| file.display().to_string());
        documents.push(Document::parse(&name, &text)?);
        let mut problems = Vec::new();
        let raw = RawConfig::read(Table::root(&name, &documents, &[]), &mut problems);
        Self::check(&raw, problems)
    }
}
