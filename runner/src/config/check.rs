//! The checked configuration.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use protocol::Name;
use protocol::bus::BusConfig;
use protocol::files;
use protocol::spec::CpuSet;
use protocol::toml::{Fault, Field, Problem, TableCheck, value};
use tracing_subscriber::EnvFilter;

use super::defaults;
use super::raw::RawConfig;
use crate::execute::Programs;
use crate::sampler::Priority;

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
    /// Checks everything, and reads the key file; `problems` are those of the reading.
    pub(super) fn check(raw: &RawConfig, mut problems: Vec<Problem>) -> Result<Self, Vec<Problem>> {
        let config = build(raw, &mut problems);
        problems.sort_by_key(|problem| problem.line);
        config.filter(|_| problems.is_empty()).ok_or(problems)
    }
}

/// Checks all first and builds last, so that no problem hides another. `None`: a problem is reported.
fn build(raw: &RawConfig, problems: &mut Vec<Problem>) -> Option<Config> {
    value::kafka_files(
        &raw.kafka,
        &mut TableCheck::new(&raw.kafka_section, problems),
        "correct the path, or let the runner's user read the file",
    );
    let keys = &raw.keys;
    let mut table = TableCheck::new(&keys.section, problems);
    let bus = bus(raw, &mut table);
    let name = table.optional(&keys.name, value::name);
    let address = table.or(
        &keys.address,
        defaults::ADDRESS,
        parsed("an IP address", "write it like 192.0.2.7"),
    );
    let state = table.optional(&keys.state, path);
    let mut program = |field: &Field<String>| table.optional(field, existing_file);
    let (workload, broker) = (program(&keys.workload), program(&keys.broker));
    let kafka = program(&keys.apache_kafka);
    let cpus = table.optional(&keys.cpus, value::any);
    let priorities = "write \"normal\", \"nice -10\" (from -20 to 19) or \"real-time 10\" (from 1 to 99)";
    let sampler = table.or(&keys.sampler, Priority::default(), parsed("a priority", priorities));
    let log = table.or(&keys.log, "info".to_owned(), |text| filter(text));
    Some(Config {
        name: name?.unwrap_or_else(defaults::name),
        address: address?,
        bus: bus?,
        state: state?.unwrap_or_else(defaults::state),
        workload: workload?.unwrap_or_else(defaults::workload),
        programs: Programs {
            broker: broker?.unwrap_or_else(defaults::broker),
            kafka: kafka?.unwrap_or_else(defaults::apache_kafka),
        },
        cpus: cpus?,
        sampler: sampler?,
        log: log?,
    })
}

fn bus(raw: &RawConfig, table: &mut TableCheck<'_>) -> Option<BusConfig> {
    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);
    let (keys, default) = (&raw.keys, BusConfig::default());
    let remedy = "write host:port, separated by commas; a runner has no \"embedded\" broker, it uses the controller's, e.g. 192.0.2.1:9092";
    let brokers = table.or(&keys.brokers, default.brokers, |parts| value::brokers(remedy)(parts));
    let prefix = table.or(&keys.prefix, default.prefix, value::prefix);
    let partitions = table.or(
        &keys.partitions,
        default.partitions,
        value::integer("the number of partitions", 1..=1000, 1),
    );
    let replication = table.or(
        &keys.replication,
        default.replication,
        value::integer("a replication factor", 1..=100, 3),
    );
    let retention = table.or(
        &keys.retention,
        default.retention,
        value::within("retention", MINUTE..=365 * DAY, "24h"),
    );
    let key = table.optional(&keys.key_file, value::signing_key);
    Some(BusConfig {
        brokers: brokers?,
        prefix: prefix?,
        partitions: partitions?,
        replication: replication?,
        retention: retention?,
        options: raw.kafka.clone(),
        key: key?,
    })
}

fn parsed<T: std::str::FromStr>(what: &'static str, remedy: &'static str) -> impl Fn(&String) -> Result<T, Fault> {
    move |text| text.parse().map_err(|_| Fault::new(format!("expected {what}"), remedy))
}

fn path(text: &String) -> Result<PathBuf, Fault> {
    let path = value::path(text)?;
    std::path::absolute(path).map_err(|error| Fault::new(error.to_string(), "write an absolute path"))
}

fn existing_file(text: &String) -> Result<PathBuf, Fault> {
    let path = path(text)?;
    let remedy = "correct the path, let the runner's user read the file, or omit the key";
    files::check(&path).map_err(|error| Fault::new(error.to_string(), remedy))?;
    Ok(path)
}

fn filter(text: &str) -> Result<String, Fault> {
    let remedy = "write error, warn, info, debug or trace, or e.g. info,runner=debug";
    EnvFilter::try_new(text).map_err(|error| Fault::new(error.to_string(), remedy))?;
    Ok(text.to_owned())
}
