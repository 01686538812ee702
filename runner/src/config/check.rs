//! The checked configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use config::Value;
use protocol::Name;
use protocol::bus::BusConfig;
use protocol::files;
use protocol::sign::SigningKey;
use protocol::spec::CpuSet;
use tracing_subscriber::EnvFilter;

use super::defaults;
use super::problem::Problem;
use super::raw::RawConfig;
use crate::execute::Programs;
use crate::sampler::Priority;

/// Kafka allows topic names of at most 249 characters; this leaves room for the rest of the name.
const PREFIX_MAX: usize = 200;

/// A problem with a value, and its remedy.
type Invalid = (String, String);

/// The configuration of a runner, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of this host, as controllers use it.
    pub name: Name,
    /// The address at which controllers reach this host.
    pub address: IpAddr,
    /// How to reach Kafka.
    pub bus: BusConfig,
    /// The folder of the crash journal, logs and images.
    pub state: PathBuf,
    /// The statically linked workload program.
    pub workload: PathBuf,
    /// Other programs that services may need.
    pub programs: Programs,
    /// The CPUs to which the runner pins itself; `None`: not pinned.
    pub cpus: Option<CpuSet>,
    /// How the sampler's thread is scheduled.
    pub sampler: Priority,
    /// What is logged, as a filter of `tracing-subscriber`.
    pub log: String,
}

impl Config {
    /// Checks everything, and reads the key file.
    ///
    /// # Errors
    /// All problems.
    pub fn check(raw: &RawConfig) -> Result<Self, Vec<Problem>> {
        let mut check = Check {
            raw,
            problems: Vec::new(),
        };
        let name = check.key("name", &raw.name, name).unwrap_or_else(defaults::name);
        let address = check.key(
            "address",
            &raw.address,
            parsed("an IP address", "write it like 192.0.2.7"),
        );
        let bus = check.bus();
        let state = check.key("state", &raw.state, path).unwrap_or_else(defaults::state);
        let workload = check.key("workload", &raw.workload, existing_file);
        let broker = check.key("broker", &raw.broker, existing_file);
        let kafka = check.key("apache_kafka", &raw.apache_kafka, existing_file);
        let cpus = check.key("cpus", &raw.cpus, parsed("a list of CPUs", "write it like \"0-1,3\""));
        let sampler = check.key(
            "sampler",
            &raw.sampler,
            parsed(
                "a priority",
                "write \"normal\", \"nice -10\" (from -20 to 19) or \"real-time 10\" (from 1 to 99)",
            ),
        );
        let log = check.key("log", &raw.log, filter).unwrap_or_else(|| "info".to_owned());
        if !check.problems.is_empty() {
            return Err(check.problems);
        }
        Ok(Self {
            name,
            address: address.unwrap_or(defaults::ADDRESS),
            bus,
            state,
            workload: workload.unwrap_or_else(defaults::workload),
            programs: Programs {
                broker: broker.unwrap_or_else(defaults::broker),
                kafka: kafka.unwrap_or_else(defaults::apache_kafka),
            },
            cpus,
            sampler: sampler.unwrap_or_default(),
            log,
        })
    }
}

/// The problems so far.
struct Check<'a> {
    raw: &'a RawConfig,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// The checked value of a key; `None` if it is not set, or invalid, which becomes a problem.
    fn key<T>(
        &mut self,
        key: &str,
        value: &Option<Value>,
        check: impl FnOnce(Value) -> Result<T, Invalid>,
    ) -> Option<T> {
        let value = value.clone()?;
        let shown = value.to_string();
        check(value)
            .map_err(|(problem, remedy)| {
                self.problems.push(Problem {
                    place: self.raw.place(key),
                    key: key.to_owned(),
                    value: shown,
                    problem,
                    remedy,
                });
            })
            .ok()
    }

    fn bus(&mut self) -> BusConfig {
        let (raw, default) = (self.raw, BusConfig::default());
        BusConfig {
            brokers: self.key("brokers", &raw.brokers, brokers).unwrap_or(default.brokers),
            prefix: self.key("prefix", &raw.prefix, prefix).unwrap_or(default.prefix),
            partitions: self
                .key("partitions", &raw.partitions, |v| whole(v, 1000))
                .unwrap_or(default.partitions),
            replication: self
                .key("replication", &raw.replication, |v| whole(v, 100))
                .unwrap_or(default.replication),
            retention: self
                .key("retention", &raw.retention, duration)
                .unwrap_or(default.retention),
            options: self.key("kafka", &raw.kafka, options).unwrap_or(default.options),
            key: self.key("key_file", &raw.key_file, key),
        }
    }
}

fn invalid(problem: impl Into<String>, remedy: impl Into<String>) -> Invalid {
    (problem.into(), remedy.into())
}

fn text(value: Value) -> Result<String, Invalid> {
    match &value.kind {
        config::ValueKind::Table(_) | config::ValueKind::Array(_) => {
            Err(invalid("expected a string", "write it in quotes"))
        }
        _ => value
            .into_string()
            .map_err(|_| invalid("expected a string", "write it in quotes")),
    }
}

fn parsed<T: std::str::FromStr>(what: &'static str, remedy: &'static str) -> impl FnOnce(Value) -> Result<T, Invalid> {
    move |value| {
        text(value)?
            .parse()
            .map_err(|_| invalid(format!("expected {what}"), remedy))
    }
}

fn name(value: Value) -> Result<Name, Invalid> {
    let remedy = "use 1 to 63 of a-z, 0-9, - and _, starting with a letter or a digit";
    text(value)?.parse().map_err(|_| invalid("invalid name", remedy))
}

fn path(value: Value) -> Result<PathBuf, Invalid> {
    let text = text(value)?;
    if text.is_empty() {
        return Err(invalid("empty path", "write a path, or omit the key"));
    }
    std::path::absolute(text).map_err(|error| invalid(error.to_string(), "write an absolute path"))
}

fn existing_file(value: Value) -> Result<PathBuf, Invalid> {
    let path = path(value)?;
    match files::check(&path) {
        Ok(()) => Ok(path),
        Err(error) => Err(invalid(
            error.to_string(),
            "correct the path, let the runner's user read the file, or omit the key",
        )),
    }
}

fn brokers(value: Value) -> Result<String, Invalid> {
    let text = text(value)?;
    let is_valid = |one: &str| {
        one.trim()
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    if text.split(',').all(is_valid) {
        Ok(text)
    } else {
        let remedy = "write host:port, separated by commas; a runner has no \"embedded\" broker, it uses the controller's, e.g. 192.0.2.1:9092";
        Err(invalid("invalid list of brokers", remedy))
    }
}

fn prefix(value: Value) -> Result<String, Invalid> {
    let text = text(value)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() <= PREFIX_MAX && text.chars().all(plain) {
        Ok(text)
    } else {
        let remedy = format!("use at most {PREFIX_MAX} of a-z, A-Z, 0-9, ., _ and -");
        Err(invalid("invalid topic prefix", remedy))
    }
}

fn whole(value: Value, max: i64) -> Result<i32, Invalid> {
    let bad = || {
        invalid(
            "expected a whole number in range",
            format!("write a whole number from 1 to {max}"),
        )
    };
    let number = match value.kind {
        config::ValueKind::Float(_) | config::ValueKind::Boolean(_) => return Err(bad()),
        _ => value.into_int().map_err(|_| bad())?,
    };
    let number = Some(number).filter(|n| (1..=max).contains(n)).ok_or_else(bad)?;
    i32::try_from(number).map_err(|_| bad())
}

fn duration(value: Value) -> Result<Duration, Invalid> {
    let bad = || {
        invalid(
            "invalid duration",
            "write a whole number and s, m, h or d from 1m to 365d, e.g. \"24h\"",
        )
    };
    let text = text(value)?;
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = number.checked_mul(seconds).filter(|s| (60..=365 * 86_400).contains(s));
    seconds.map(Duration::from_secs).ok_or_else(bad)
}

fn options(value: Value) -> Result<BTreeMap<String, String>, Invalid> {
    let bad = |_| {
        invalid(
            "expected a table of options",
            "write [kafka] and below it lines like \"security.protocol\" = \"SSL\"",
        )
    };
    let table = value.into_table().map_err(bad)?;
    let options: BTreeMap<String, String> = table
        .into_iter()
        .map(|(key, value)| match value.into_string() {
            Ok(value) => Ok((key, value)),
            Err(_) => Err(invalid(
                format!("option {key}: expected a string or a number"),
                format!("put the whole name of the option in quotes, like \"{key}.name\" = \"value\""),
            )),
        })
        .collect::<Result<_, _>>()?;
    let problems: Vec<String> = files::kafka_option_errors(&options)
        .iter()
        .map(|(option, error)| format!("{option}: {error}"))
        .collect();
    if problems.is_empty() {
        Ok(options)
    } else {
        Err(invalid(
            problems.join("; "),
            "correct the path, or let the runner's user read the file",
        ))
    }
}

fn key(value: Value) -> Result<SigningKey, Invalid> {
    let path = path(value)?;
    let remedy =
        "create one with `openssl rand -hex 32`, readable by the runner and the same on controller and runners";
    SigningKey::read(&path).map_err(|error| invalid(error.to_string(), remedy))
}

fn filter(value: Value) -> Result<String, Invalid> {
    let text = text(value)?;
    match EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(invalid(
            error.to_string(),
            "write error, warn, info, debug or trace, or e.g. info,runner=debug",
        )),
    }
}
