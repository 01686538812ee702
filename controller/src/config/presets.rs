//! Presets: load programs of others, described by TOML files.

use std::path::Path;

use protocol::toml::{Fault, FileRemedies, Problem, did_you_mean};

use super::raw::RawPreset;

/// Those that the program brings along.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("ab", include_str!("../../presets/ab.toml")),
    ("dnsperf", include_str!("../../presets/dnsperf.toml")),
    ("hey", include_str!("../../presets/hey.toml")),
    ("iperf3", include_str!("../../presets/iperf3.toml")),
    ("k6", include_str!("../../presets/k6.toml")),
    (
        "kafka-producer-perf-test",
        include_str!("../../presets/kafka-producer-perf-test.toml"),
    ),
    (
        "memtier-benchmark",
        include_str!("../../presets/memtier-benchmark.toml"),
    ),
    ("oha", include_str!("../../presets/oha.toml")),
    ("redis-benchmark", include_str!("../../presets/redis-benchmark.toml")),
    ("sysbench", include_str!("../../presets/sysbench.toml")),
    ("vegeta", include_str!("../../presets/vegeta.toml")),
    ("wrk", include_str!("../../presets/wrk.toml")),
];

/// What to do about the file of a preset that cannot be read.
const REMEDIES: FileRemedies = FileRemedies {
    directory: "name a file in it: preset = \"DIR/mine.toml\"",
    missing: "write the path of the preset; a relative one begins where the controller is started",
    too_large: "a preset is a short TOML text; see docs/load-programs.md",
};

/// Why a preset cannot be used.
#[derive(Debug)]
pub enum Unreadable {
    /// There is none of this name.
    Unknown(Fault),
    /// Its file is missing or not TOML.
    File(Vec<Problem>),
}

/// Whether a preset is named by the path of its file.
#[must_use]
pub fn is_path(preset: &str) -> bool {
    preset.contains('/')
        || Path::new(preset)
            .extension()
            .is_some_and(|extension| extension == "toml")
}

/// Reads a preset, given by name or by the path of its file, with the problems of types and unknown keys.
///
/// # Errors
/// [`Unreadable`].
pub fn read(preset: &str) -> Result<(RawPreset, Vec<Problem>), Unreadable> {
    if is_path(preset) {
        let text = protocol::toml::read(Path::new(preset), REMEDIES).map_err(Unreadable::File)?;
        return RawPreset::parse(preset, &text).map_err(Unreadable::File);
    }
    let names = || BUILT_IN.iter().map(|(name, _)| *name);
    let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == preset) else {
        let remedy = match did_you_mean(preset, names()) {
            Some(name) => format!("did you mean {name:?}?"),
            None => format!(
                "write one of {}, or the path of a file such as \"./mine.toml\"",
                names().collect::<Vec<_>>().join(", ")
            ),
        };
        return Err(Unreadable::Unknown(Fault::new(
            "there is no preset of this name",
            remedy,
        )));
    };
    RawPreset::parse(&format!("preset {name}"), text).map_err(Unreadable::File)
}
