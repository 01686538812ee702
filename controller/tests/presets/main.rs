//! The presets: what they find in output that the real programs printed, and each against the real program with a real service.
//!
//! The second part needs `wrk`, `ab`, `hey`, `redis-benchmark`, `redis-server`, `dnsperf`, `dnsmasq`, `iperf3`, `sysbench`, PostgreSQL, Java with
//! Kafka's jars, and, by `deploy/setup.sh load-programs` in `~/.cache/jung`, `oha` and `vegeta`. k6 and memtier_benchmark are not among them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod outputs;
mod real;
mod servers;

use controller::config::{Overrides, parse, presets};
use protocol::load::{CommandLoad, LoadKind};

/// A load of a preset, with further keys.
#[track_caller]
fn load(preset: &str, keys: &str) -> CommandLoad {
    let text = format!(
        "[experiment]\nname = \"x\"\n[[platform]]\nkind = \"native\"\n[[workload]]\nkind = \"tcp\"\n\
         [[load]]\nkind = \"command\"\nname = \"c\"\npreset = \"{preset}\"\n{keys}\n"
    );
    let checked = parse("x.toml", &text, &Overrides::default());
    let mut checked = checked.unwrap_or_else(|problems| panic!("{preset}: {problems:#?}"));
    match checked.experiment.loads.remove(0).spec.kind {
        LoadKind::Command(load) => *load,
        other => panic!("{other:?}"),
    }
}

/// The keys with which a preset can be used.
fn least(preset: &str) -> &'static str {
    match preset {
        "kafka-producer-perf-test" | "redis-benchmark" => "",
        "vegeta" => "duration = \"1s\"\nparameters = { rate = 100 }",
        _ => "duration = \"1s\"",
    }
}

#[test]
fn every_preset_is_valid() {
    for (name, text) in presets::BUILT_IN {
        let load = load(name, least(name));
        assert_eq!(load.preset.as_deref(), Some(*name));
        assert!(!load.install.is_empty(), "{name} does not say how it is installed");
        let compared = load.figures.iter().filter(|figure| figure.compare).count();
        assert!(
            (1..=3).contains(&compared),
            "{name} compares {compared} figures: every test costs power"
        );
        assert!(
            text.starts_with('#') && text.contains("https://"),
            "{name} does not say what it is"
        );
    }
}

#[test]
fn every_preset_is_documented_with_its_parameters() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/load-programs.md");
    let docs = std::fs::read_to_string(path).unwrap();
    for (name, _) in presets::BUILT_IN {
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in {path}"));
        for parameter in load(name, least(name)).parameters.keys() {
            assert!(row.contains(&format!("`{parameter}`")), "{parameter} is not in {row}");
        }
    }
}
