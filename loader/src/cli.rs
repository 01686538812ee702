//! The command line of `loader`.

use std::time::Duration;

use clap::Parser;
use protocol::bus::BusConfig;
use protocol::exit::{Exit, ExitCodes};
use protocol::spec::CpuSet;
use protocol::toml::{Document, Problem, Table, TableCheck, parse_seconds, value};
use protocol::{Name, raw_table};

use crate::daemon::Options;

/// Generate a part of every load that a controller splits over several machines.
#[derive(Clone, Debug, Parser)]
#[command(name = "loader", version, max_term_width = 110, after_help = Exit::table(EXIT_CODES))]
pub struct Cli {
    /// Name of this loader, as listed in `loaders` in `[generator]` of the experiment file.
    #[arg(long = "as", value_name = "NAME", env = "JUNG_LOADER_NAME")]
    pub loader: Name,
    /// Kafka brokers, `host:port,...`.
    #[arg(long, value_name = "BROKERS", env = "JUNG_BROKERS")]
    pub brokers: String,
    /// Kafka topic prefix; the same as the experiment's.
    #[arg(long, value_name = "PREFIX", default_value = "jung.")]
    pub prefix: String,
    /// File with the key that signs messages; the same as the experiment's.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<String>,
    /// CPUs to pin the load generator's threads to, one thread each; overrides the experiment; e.g. 0-1,3.
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<CpuSet>,
    /// librdkafka option, e.g. -X security.protocol=ssl; can be repeated.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    pub option: Vec<(String, String)>,
    /// Seconds or a duration to wait for a broker at start-up; 0: try once. Default: no limit.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub wait: Option<Duration>,
    /// Log filter, e.g. `debug`, or `info,loader::http=trace`.
    #[arg(long, value_name = "FILTER", env = "JUNG_LOG", default_value = "info")]
    pub log: String,
}

raw_table! {
    /// What the command line says of Kafka.
    RawOptions {
        /// The brokers.
        brokers: list -> Vec<String>,
        /// The topic prefix.
        prefix: word -> String,
        /// The file with the signing key.
        key_file: word -> String,
    }
}

impl Cli {
    /// The daemon's options.
    ///
    /// # Errors
    /// Every problem of the command line that clap does not find.
    pub fn options(self) -> Result<Options, Vec<Problem>> {
        let given = [
            ("brokers", Some(&self.brokers)),
            ("prefix", Some(&self.prefix)),
            ("key_file", self.key_file.as_ref()),
        ];
        let documents: Vec<_> = given
            .into_iter()
            .filter_map(|(key, text)| {
                let option = format!("option --{}", key.replace('_', "-"));
                Some(Document::of_value(option, &[key], text?))
            })
            .collect();
        let raw = RawOptions::read(&mut Table::root("command line", &documents, &[]));
        let mut problems = Vec::new();
        match bus(&raw, &mut TableCheck::new(&raw.section, &mut problems)) {
            Some(bus) if problems.is_empty() => Ok(Options {
                name: self.loader,
                bus: BusConfig {
                    options: self.option.into_iter().collect(),
                    ..bus
                },
                cpus: self.cpus,
                wait: self.wait,
            }),
            _ => Err(problems),
        }
    }
}

fn bus(raw: &RawOptions, table: &mut TableCheck<'_>) -> Option<BusConfig> {
    let remedy =
        "write host:port,...; a loader has no \"embedded\" broker, it uses the controller's, e.g. --brokers lab-1:9092";
    let default = BusConfig::default();
    let brokers = table.or(&raw.brokers, default.brokers.clone(), |parts| {
        value::brokers(remedy)(parts)
    });
    let prefix = table.or(&raw.prefix, default.prefix.clone(), value::prefix);
    let key = table.optional(&raw.key_file, value::signing_key);
    Some(BusConfig {
        brokers: brokers?,
        prefix: prefix?,
        key: key?,
        ..default
    })
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// The exit codes.
const EXIT_CODES: ExitCodes<'_> = &[
    (Exit::Ok, "graceful shutdown by SIGINT, SIGTERM or SIGHUP"),
    (Exit::Internal, "internal error (a bug)"),
    (Exit::Usage, "invalid command line"),
    (Exit::Broker, "no Kafka broker could be reached within --wait"),
    (Exit::Unmet, "the name is in use by another loader on this machine"),
    (Exit::Interrupted, "immediate exit on a second signal"),
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let given = [
            "--brokers",
            "x",
            "--prefix",
            "a b",
            "--key-file",
            "/none/key",
            "--wait",
            "1m",
        ];
        let cli = Cli::try_parse_from(["loader", "--as", "lab-3"].into_iter().chain(given)).unwrap();
        assert_eq!(cli.wait, Some(Duration::from_secs(60)));
        let problems: Vec<String> = cli.options().unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3);
        assert!(
            problems[2].starts_with("option --key-file: key_file = \"/none/key\": this file cannot be read"),
            "{problems:?}"
        );
    }

    #[test]
    fn an_embedded_broker_is_refused_with_the_remedy() {
        let cli = Cli::try_parse_from(["loader", "--as", "lab-3", "--brokers", "embedded"]).unwrap();
        let problems = cli.options().unwrap_err();
        assert_eq!(
            problems[0].to_string(),
            "option --brokers: brokers = \"embedded\": \"embedded\" is not host:port; write host:port,...; a loader has no \"embedded\" broker, it uses \
             the controller's, e.g. --brokers lab-1:9092"
        );
    }
}
