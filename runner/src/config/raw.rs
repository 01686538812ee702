//! The configuration as written, layer over layer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Value};
use serde::Deserialize;

use super::problem::Problem;

/// The prefix of environment variables.
const PREFIX: &str = "JUNG_RUNNER";

/// All keys.
pub const KEYS: [&str; 16] = [
    "name",
    "address",
    "brokers",
    "prefix",
    "partitions",
    "replication",
    "retention",
    "kafka",
    "key_file",
    "state",
    "workload",
    "broker",
    "apache_kafka",
    "cpus",
    "sampler",
    "log",
];

/// The values as written, of any type.
#[derive(Debug, Default, Deserialize)]
pub struct RawConfig {
    pub(super) name: Option<Value>,
    pub(super) address: Option<Value>,
    pub(super) brokers: Option<Value>,
    pub(super) prefix: Option<Value>,
    pub(super) partitions: Option<Value>,
    pub(super) replication: Option<Value>,
    pub(super) retention: Option<Value>,
    pub(super) kafka: Option<Value>,
    pub(super) key_file: Option<Value>,
    pub(super) state: Option<Value>,
    pub(super) workload: Option<Value>,
    pub(super) broker: Option<Value>,
    pub(super) apache_kafka: Option<Value>,
    pub(super) cpus: Option<Value>,
    pub(super) sampler: Option<Value>,
    pub(super) log: Option<Value>,
    /// The file, to locate problems.
    #[serde(skip)]
    pub(super) file: Option<PathBuf>,
    /// The flags, to locate problems.
    #[serde(skip)]
    pub(super) flags: Flags,
    /// The environment, to locate problems.
    #[serde(skip)]
    pub(super) environment: BTreeMap<String, String>,
}

/// The values that the command line sets, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub BTreeMap<&'static str, String>);

impl RawConfig {
    /// Reads all layers. `environment` is the process's own except in tests.
    ///
    /// # Errors
    /// If the file cannot be read or is not TOML, or a key is unknown; each unknown key is a problem of its own.
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Flags,
    ) -> Result<Self, Vec<Problem>> {
        let ours = |(key, _): &(String, String)| key.starts_with(PREFIX) && key[PREFIX.len()..].starts_with("__");
        let environment: BTreeMap<String, String> = environment.into_iter().filter(ours).collect();
        let place = file.map_or_else(|| "environment".to_owned(), |file| file.display().to_string());
        let layers = || -> Result<config::Config, Box<dyn std::error::Error>> {
            let mut builder = config::Config::builder();
            if let Some(file) = file {
                builder = builder.add_source(File::from_str(&std::fs::read_to_string(file)?, FileFormat::Toml));
            }
            let variables = Environment::with_prefix(PREFIX)
                .prefix_separator("__")
                .separator("__")
                .source(Some(environment.clone().into_iter().collect()));
            builder = builder.add_source(variables);
            for (key, value) in &flags.0 {
                builder = builder.set_override(*key, value.as_str())?;
            }
            Ok(builder.build()?)
        };
        let layers = layers().map_err(|error| vec![unreadable(&place, error.as_ref())])?;
        let mut unknown = Vec::new();
        let raw = serde_ignored::deserialize(layers, |path| unknown.push(path.to_string()));
        let mut raw: Self = raw.map_err(|error: config::ConfigError| vec![unreadable(&place, &error)])?;
        raw.file = file.map(Path::to_owned);
        raw.environment = environment;
        raw.flags = flags;
        if unknown.is_empty() {
            Ok(raw)
        } else {
            Err(unknown.iter().map(|key| raw.unknown(key)).collect())
        }
    }

    /// Where a key was set.
    #[must_use]
    pub fn place(&self, key: &str) -> String {
        let variable = format!("{PREFIX}__{}", key.to_uppercase());
        let is_set = self.environment.keys().any(|set| set.eq_ignore_ascii_case(&variable));
        match &self.file {
            _ if self.flags.0.contains_key(key) => format!("--{key}"),
            _ if is_set => variable,
            Some(file) => file.display().to_string(),
            None => "default".to_owned(),
        }
    }

    fn unknown(&self, key: &str) -> Problem {
        Problem {
            place: self.place(key),
            key: key.to_owned(),
            value: String::new(),
            problem: "unknown key".to_owned(),
            remedy: format!("the keys are {}", KEYS.join(", ")),
        }
    }
}

fn unreadable(place: &str, error: &dyn std::error::Error) -> Problem {
    Problem {
        place: place.to_owned(),
        key: String::new(),
        value: String::new(),
        problem: format!("cannot be read: {}", error.to_string().trim_end()),
        remedy: "see runner.example.toml for the format".to_owned(),
    }
}
