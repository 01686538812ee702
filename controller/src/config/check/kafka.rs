//! `[kafka]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::toml::{Fault, Problem, TableCheck, value};

use crate::config::raw::{RawKafka, RawKafkaKeys};
use crate::config::{Brokers, EmbeddedBroker, Kafka};

/// Checks `[kafka]`; `results` is where the embedded broker keeps its files by default. `None`: a problem is reported.
pub(super) fn check(raw: &RawKafka, results: Option<&Path>, problems: &mut Vec<Problem>) -> Option<Kafka> {
    let keys = &raw.keys;
    let options = options(raw, problems);
    let mut table = TableCheck::new(&keys.section, problems);
    let brokers = brokers(keys, results.unwrap_or(Path::new("results")), &mut table);
    let prefix = table.or(&keys.prefix, "jung.".to_owned(), value::prefix);
    let partitions = table.or(
        &keys.partitions,
        1,
        value::integer("the number of partitions", 1..=1000, 1),
    );
    let replication = table.or(&keys.replication, 1, value::integer("a replication factor", 1..=100, 3));
    let retention = table.or(
        &keys.retention,
        DAY,
        value::within("retention", MINUTE..=365 * DAY, "24h"),
    );
    let key_file = table.optional(&keys.key_file, key_file);
    if let (Some(Brokers::Embedded(_)), Some(2..)) = (&brokers, replication) {
        let fault = Fault::new(
            "the embedded broker is one node",
            "remove replication, or name the brokers of a cluster",
        );
        table.error(&keys.replication, fault);
    }
    if let (Some(Brokers::Embedded(_)), Some(options)) = (&brokers, &options) {
        plain_only(raw, options, problems);
    }
    Some(Kafka {
        brokers: brokers?,
        prefix: prefix?,
        partitions: partitions?,
        replication: replication?,
        retention: retention?,
        options: options?,
        key_file: key_file?,
    })
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn brokers(keys: &RawKafkaKeys, results: &Path, table: &mut TableCheck<'_>) -> Option<Brokers> {
    let addresses = value::brokers("write \"embedded\", or addresses like \"lab-1:9092,lab-2:9092\"");
    let list = table.or(&keys.brokers, None, |parts| match &parts[..] {
        [word] if word == "embedded" => Ok(None),
        parts => addresses(parts).map(Some),
    })?;
    let Some(list) = list else {
        return embedded(keys, results, table).map(Brokers::Embedded);
    };
    let what = "this key is for brokers = \"embedded\"";
    let remedy = "remove it: the brokers in `brokers` are started elsewhere";
    table.forbid(&keys.listen, what, remedy);
    table.forbid(&keys.advertise, what, remedy);
    table.forbid(&keys.data, what, remedy);
    Some(Brokers::External(list))
}

fn embedded(keys: &RawKafkaKeys, results: &Path, table: &mut TableCheck<'_>) -> Option<EmbeddedBroker> {
    let listen = table.or(&keys.listen, SocketAddr::from(([127, 0, 0, 1], 9092)), |text| {
        text.parse::<SocketAddr>()
            .map_err(|_| Fault::new("expected an address and a port", "write e.g. listen = \"0.0.0.0:9092\""))
    });
    let advertise = table.optional(&keys.advertise, |text| {
        value::is_host_port(text).then(|| text.clone()).ok_or_else(|| {
            Fault::new(
                "expected host:port",
                "write what runners connect to, e.g. advertise = \"lab-1:9092\"",
            )
        })
    });
    let data = table.or(&keys.data, results.join(".broker"), value::path);
    if let (Some(listen), Some(None)) = (&listen, &advertise)
        && listen.ip().is_unspecified()
    {
        let what = format!("clients cannot connect to {}", listen.ip());
        let remedy = "set the address that runners connect to, e.g. advertise = \"lab-1:9092\"";
        table.error(&keys.listen, Fault::new(what, remedy));
    }
    Some(EmbeddedBroker {
        listen: listen?,
        advertise: advertise?,
        data: data?,
    })
}

/// A file with a valid key.
fn key_file(text: &String) -> Result<PathBuf, Fault> {
    value::signing_key(text)?;
    value::path(text)
}

/// The embedded broker has neither TLS nor SASL: such options would only look safe.
fn plain_only(raw: &RawKafka, options: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
    let secure = |protocol: &String| !protocol.eq_ignore_ascii_case("plaintext");
    if options.get("security.protocol").is_some_and(secure) {
        let fault = Fault::new(
            "the embedded broker supports plaintext only, and security.protocol is not plaintext",
            "remove it and sign commands with key_file, or name the brokers of Apache Kafka",
        );
        TableCheck::new(&raw.options_section, problems).table_error(fault);
    }
}

/// `[kafka.options]`: all of librdkafka's but those that would contradict other keys.
fn options(raw: &RawKafka, problems: &mut Vec<Problem>) -> Option<BTreeMap<String, String>> {
    const OURS: [&str; 2] = ["bootstrap.servers", "metadata.broker.list"];
    let before = problems.len();
    for key in raw.options.keys().filter(|key| OURS.contains(&key.as_str())) {
        let what = format!("{key} has a key of its own");
        let remedy = "remove it and write brokers = \"...\" in [kafka]";
        TableCheck::new(&raw.options_section, problems).table_error(Fault::new(what, remedy));
    }
    value::kafka_files(
        &raw.options,
        &mut TableCheck::new(&raw.options_section, problems),
        "correct the path, or let this user read the file",
    );
    (problems.len() == before).then(|| raw.options.clone())
}
