//! `runner.toml`: from a file, the environment and the command line to a checked [`Config`].
//!
//! Flags override `JUNG_RUNNER__KEY` in the environment, which overrides the file. [`protocol::toml`] reads these layers and collects problems;
//! [`check`] decides; [`defaults`] has the values of keys that are not set.

pub mod check;
pub mod defaults;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use protocol::raw_table;
use protocol::spec::CpuSet;
use protocol::toml::{Document, FileRemedies, Problem, Section, Table, read};

pub use check::Config;

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

raw_table! {
    /// The keys but `[kafka]`.
    RawKeys {
        /// The name of this host.
        name: word -> String,
        /// The address at which controllers reach this host.
        address: word -> String,
        /// The Kafka brokers.
        brokers: list -> Vec<String>,
        /// Kafka topic prefix.
        prefix: word -> String,
        /// Partitions of new topics.
        partitions: quotable_integer -> i64,
        /// Replication factor of new topics.
        replication: quotable_integer -> i64,
        /// Retention of new topics.
        retention: duration -> std::time::Duration,
        /// The file with the signing key.
        key_file: word -> String,
        /// The folder of the crash journal, logs and images.
        state: word -> String,
        /// The workload program.
        workload: word -> String,
        /// This project's broker.
        broker: word -> String,
        /// The script that runs Apache Kafka.
        apache_kafka: word -> String,
        /// The CPUs to which the runner is pinned.
        cpus: cpus -> CpuSet,
        /// How the sampler's thread is scheduled.
        sampler: word -> String,
        /// What is logged.
        log: word -> String,
        /// The folder of the descriptions of services.
        services: word -> String,
    }
}

raw_table! {
    /// `[allow]`.
    RawAllow {
        /// The descriptions of this host that messages may name.
        descriptions: list -> Vec<String>,
        /// The programs that a description in a message may name.
        programs: list -> Vec<String>,
        /// The container images that messages may name.
        images: list -> Vec<String>,
        /// The files that a description in a message may put into images.
        files: list -> Vec<String>,
        /// The descriptions of guests that messages may name.
        guests: list -> Vec<String>,
        /// The most memory of a service, MiB.
        memory_mib: mib -> i64,
        /// The CPUs of services.
        cpus: cpus -> CpuSet,
        /// The most that the files of a service may contain, MiB.
        data_mib: mib -> i64,
    }
}

/// The configuration as written, of all layers.
#[derive(Clone, Debug)]
pub struct RawConfig {
    keys: RawKeys,
    allow: RawAllow,
    /// `[kafka]`: options of librdkafka.
    kafka: BTreeMap<String, String>,
    kafka_section: Section,
}

impl RawConfig {
    fn read(mut root: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let kafka = root.table("kafka");
        let mut allow = root.table("allow");
        let raw_allow = RawAllow::read(&mut allow);
        allow.end(problems);
        let raw = Self {
            keys: RawKeys::read(&mut root),
            allow: raw_allow,
            kafka_section: kafka.section(),
            kafka: kafka.options(problems),
        };
        root.end(problems);
        raw
    }
}

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
