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

use super::{RawConfig, defaults};
use crate::execute::Programs;
use crate::sampler::Priority;
use crate::services::allow::{Allow, NamePattern};

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
    /// The folder of the descriptions of services.
    pub services: PathBuf,
    /// What messages may start.
    pub allow: Allow,
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
        value::parsed("IP address", "write it like 192.0.2.7"),
    );
    let state = table.optional(&keys.state, path);
    let mut program = |field: &Field<String>| table.optional(field, existing_file);
    let (workload, broker) = (program(&keys.workload), program(&keys.broker));
    let kafka = program(&keys.apache_kafka);
    let cpus = table.optional(&keys.cpus, value::any);
    let priorities = "write \"normal\", \"nice -10\" (from -20 to 19) or \"real-time 10\" (from 1 to 99)";
    let sampler = table.or(
        &keys.sampler,
        Priority::default(),
        value::parsed("priority", priorities),
    );
    let log = table.or(&keys.log, "info".to_owned(), |text| filter(text));
    let services = table.optional(&keys.services, existing_folder);
    let allow = allow(raw, bus.as_ref(), problems);
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
        services: services?.unwrap_or_else(defaults::services),
        allow: allow?,
    })
}

/// Checks `[allow]`; `None`: a problem is reported.
fn allow(raw: &RawConfig, bus: Option<&BusConfig>, problems: &mut Vec<Problem>) -> Option<Allow> {
    let (keys, default) = (&raw.allow, Allow::default());
    let mut table = TableCheck::new(&keys.section, problems);
    let descriptions = table.or(&keys.descriptions, default.descriptions, patterns);
    let guests = table.or(&keys.guests, default.guests, patterns);
    let programs = table.or(&keys.programs, default.programs, absolute_patterns);
    let images = table.or(&keys.images, default.images, patterns);
    let files = table.or(&keys.files, default.files, absolute_patterns);
    let memory_mib = table.optional(
        &keys.memory_mib,
        value::integer("a memory limit in MiB", 4..=1 << 24, 512),
    );
    let cpus = table.optional(&keys.cpus, value::any);
    let data_mib = table.or(
        &keys.data_mib,
        default.data_mib,
        value::integer("a limit of the files' contents in MiB", 0..=1 << 20, 256),
    );
    let (programs, images, bus) = (programs?, images?, bus?);
    let guarded = bus.key.is_some() || is_local(&bus.brokers);
    let open = [(&keys.programs, &programs), (&keys.images, &images)];
    let opened = open.into_iter().find(|(_, patterns)| !guarded && !patterns.is_empty());
    if let Some((field, _)) = opened {
        let what =
            "it lets messages start programs, and without `key_file` everyone who reaches the broker can send them";
        table.error(field, Fault::new(what, "set key_file, the same on the controller"));
        return None;
    }
    Some(Allow {
        descriptions: descriptions?,
        programs,
        images,
        files: files?,
        guests: guests?,
        memory_mib: memory_mib?,
        cpus: cpus?,
        data_mib: data_mib?,
    })
}

#[expect(
    clippy::unnecessary_wraps,
    clippy::ptr_arg,
    reason = "a check takes what a field holds, and can fail"
)]
fn patterns(texts: &Vec<String>) -> Result<Vec<NamePattern>, Fault> {
    Ok(texts.iter().map(|text| NamePattern::new(text)).collect())
}

fn absolute_patterns(texts: &Vec<String>) -> Result<Vec<NamePattern>, Fault> {
    match texts.iter().find(|text| !text.starts_with('/')) {
        None => patterns(texts),
        Some(text) => Err(Fault::new(
            format!("{text:?} is not an absolute path"),
            "write e.g. [\"/usr/sbin/nginx\", \"/opt/lab/*\"]",
        )),
    }
}

/// Whether only this machine can reach the brokers.
fn is_local(brokers: &str) -> bool {
    let local = |address: &str| {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        host == "localhost" || host == "[::1]" || host.starts_with("127.")
    };
    brokers.split(',').all(local)
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

fn existing_folder(text: &String) -> Result<PathBuf, Fault> {
    let path = path(text)?;
    if path.is_dir() {
        return Ok(path);
    }
    Err(Fault::new(
        "this is not a folder",
        "create it, correct the path, or omit the key",
    ))
}

fn filter(text: &str) -> Result<String, Fault> {
    let remedy = "write error, warn, info, debug or trace, or e.g. info,runner=debug";
    EnvFilter::try_new(text).map_err(|error| Fault::new(error.to_string(), remedy))?;
    Ok(text.to_owned())
}
