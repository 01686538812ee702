//! `experiments.toml`: from text to a checked [`Experiment`].
//!
//! [`protocol::toml`] reads tables and collects problems; `raw` lists the keys, `check` decides.

mod check;
mod experiment;
mod host;
pub mod presets;
mod raw;
#[cfg(test)]
pub(crate) mod testing;
mod workloads;

use std::path::Path;

use protocol::toml::{Fault, FileRemedies, Section};
pub use protocol::toml::{Problem, Severity, problems_json, problems_text, show_duration};

pub use analysis::store::Skip;
pub use check::Checked;
pub use experiment::*;
pub use host::{Band, HostNeeds, Need, Otherwise};
pub use raw::RawExperiment;
pub use workloads::*;

/// What to do about an experiment file that cannot be read.
const REMEDIES: FileRemedies = FileRemedies {
    directory: "name the file in it: --config DIR/experiments.toml",
    missing: "name an experiment file with --config, or start in the folder of experiments.toml",
    too_large: "an experiment file is a short TOML text; see docs/experiments.md",
};

/// Reads and checks an experiment file. It reads that file and the key file that it names, and changes nothing.
///
/// # Errors
/// Every problem of it.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Checked, Vec<Problem>> {
    let file = path.display().to_string();
    let text = protocol::toml::read(path, REMEDIES)?;
    if text.trim().is_empty() {
        let remedy = "begin with a copy of a file in experiments/; see docs/experiments.md";
        let whole = Section {
            file,
            ..Section::default()
        };
        return Err(vec![whole.problem(Fault::new("is empty", remedy))]);
    }
    parse(&file, &text, overrides)
}

/// Checks the text of an experiment file; `file` is what problems call it.
///
/// # Errors
/// Every problem of it.
pub fn parse(file: &str, text: &str, overrides: &Overrides) -> Result<Checked, Vec<Problem>> {
    let (mut raw, problems) = RawExperiment::parse(file, text)?;
    overrides.apply(&mut raw);
    check::check(&raw, text, problems)
}

/// Values of the command line, which override the file's and are checked like them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--name`: the experiment's name.
    pub name: Option<String>,
    /// `--results`: the folder of all results.
    pub results: Option<String>,
    /// `--brokers`: `embedded` or `host:port,...`; the file's keys for the other kind of broker are then ignored.
    pub brokers: Option<String>,
    /// `--host`: the host whose runner deploys.
    pub host: Option<String>,
    /// `--iterations`: the number of blocks.
    pub iterations: Option<i64>,
    /// `--seed`: the seed.
    pub seed: Option<i64>,
}

impl Overrides {
    fn apply(&self, raw: &mut RawExperiment) {
        let texts = [
            (&self.name, "--name", &mut raw.head.name),
            (&self.results, "--results", &mut raw.head.results),
            (&self.host, "--host", &mut raw.head.host),
        ];
        for (given, option, field) in texts {
            if let Some(text) = given {
                field.replace(format!("option {option}"), &format!("{text:?}"), text.clone());
            }
        }
        let wholes = [
            (self.iterations, "--iterations", &mut raw.head.iterations),
            (self.seed, "--seed", &mut raw.head.seed),
        ];
        for (given, option, field) in wholes {
            if let Some(number) = given {
                field.replace(format!("option {option}"), &number.to_string(), number);
            }
        }
        let Some(text) = &self.brokers else { return };
        let parts = text.split(',').map(|part| part.trim().to_owned()).collect();
        let brokers = &mut raw.kafka.keys.brokers;
        brokers.replace("option --brokers".to_owned(), &format!("{text:?}"), parts);
        if text != "embedded" {
            for field in [
                &mut raw.kafka.keys.listen,
                &mut raw.kafka.keys.advertise,
                &mut raw.kafka.keys.data,
            ] {
                field.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests;
