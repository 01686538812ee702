//! `[kafka]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::files;
use protocol::sign::SigningKey;

use super::at::At;
use super::value;
use crate::config::problem::{Fault, Problem};
use crate::config::raw::{RawKafka, RawKafkaKeys};
use crate::config::{Brokers, EmbeddedBroker, Kafka};

const EMBEDDED: &str = "embedded";
/// Topic names have at most 249 characters; this leaves room for ours.
const MAX_PREFIX: usize = 200;

/// Checks `[kafka]`; `results` is where the embedded broker keeps its files by default. `None` has left a problem.
pub(super) fn check(raw: &RawKafka, results: Option<&Path>, problems: &mut Vec<Problem>) -> Option<Kafka> {
    let keys = &raw.keys;
    let options = options(raw, problems);
    let mut at = At::new(&keys.section, problems);
    let brokers = brokers(keys, results.unwrap_or(Path::new("results")), &mut at);
    let prefix = at.or(&keys.prefix, "jung.".to_owned(), prefix);
    let partitions = at.or(
        &keys.partitions,
        1,
        value::whole("the number of partitions", 1..=1000, 1),
    );
    let replication = at.or(&keys.replication, 1, value::whole("a replication factor", 1..=100, 3));
    let retention = at.or(
        &keys.retention,
        DAY,
        value::within("retention", MINUTE..=365 * DAY, "24h"),
    );
    let key_file = at.optional(&keys.key_file, key_file);
    if let (Some(Brokers::Embedded(_)), Some(2..)) = (&brokers, replication) {
        let fault = Fault::new(
            "the embedded broker is one node",
            "leave replication out, or name the brokers of a cluster",
        );
        at.error(&keys.replication, fault);
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

fn brokers(keys: &RawKafkaKeys, results: &Path, at: &mut At<'_>) -> Option<Brokers> {
    let list = at.or(&keys.brokers, EMBEDDED.to_owned(), broker_list)?;
    if list == EMBEDDED {
        return embedded(keys, results, at).map(Brokers::Embedded);
    }
    let what = "this key is for brokers = \"embedded\"";
    let remedy = "leave it out: the brokers named in brokers are started elsewhere";
    at.foreign(&keys.listen, what, remedy);
    at.foreign(&keys.advertise, what, remedy);
    at.foreign(&keys.data, what, remedy);
    Some(Brokers::External(list))
}

fn embedded(keys: &RawKafkaKeys, results: &Path, at: &mut At<'_>) -> Option<EmbeddedBroker> {
    let listen = at.or(&keys.listen, SocketAddr::from(([127, 0, 0, 1], 9092)), |text| {
        text.parse::<SocketAddr>()
            .map_err(|_| Fault::new("this is no address and port", "write e.g. listen = \"0.0.0.0:9092\""))
    });
    let advertise = at.optional(&keys.advertise, |text| {
        host_port(text).then(|| text.clone()).ok_or_else(|| {
            Fault::new(
                "this is no host:port",
                "write what runners connect to, e.g. advertise = \"lab-1:9092\"",
            )
        })
    });
    let data = at.or(&keys.data, results.join(".broker"), value::path);
    if let (Some(listen), Some(None)) = (&listen, &advertise)
        && listen.ip().is_unspecified()
    {
        let what = format!("clients cannot connect to {}", listen.ip());
        let remedy = "set the address that runners connect to, e.g. advertise = \"lab-1:9092\"";
        at.error(&keys.listen, Fault::new(what, remedy));
    }
    Some(EmbeddedBroker {
        listen: listen?,
        advertise: advertise?,
        data: data?,
    })
}

/// `embedded`, or addresses without spaces around the commas.
fn broker_list(text: &String) -> Result<String, Fault> {
    if text == EMBEDDED {
        return Ok(text.clone());
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    match parts.iter().find(|part| !host_port(part)) {
        None => Ok(parts.join(",")),
        Some(part) => Err(Fault::new(
            format!("{part:?} is no host:port"),
            "write \"embedded\", or addresses like \"lab-1:9092,lab-2:9092\"",
        )),
    }
}

/// Whether this is `host:port` or `[v6]:port`.
fn host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_good = match v6 {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
    };
    host_is_good && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn prefix(text: &String) -> Result<String, Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.len() <= MAX_PREFIX && text.chars().all(legal) {
        return Ok(text.clone());
    }
    Err(Fault::new(
        "Kafka takes no such name for a topic",
        format!("use at most {MAX_PREFIX} of a-z, A-Z, 0-9, ., _ and -, e.g. prefix = \"lab.\""),
    ))
}

/// A file with a key that is there, can be read and is long enough.
fn key_file(text: &String) -> Result<PathBuf, Fault> {
    let path = value::path(text)?;
    let make = "make one with `openssl rand -hex 32 > lab.key; chmod 600 lab.key`, the same on controller and runners";
    SigningKey::read(&path).map_err(|error| Fault::new(error.to_string(), make))?;
    Ok(path)
}

/// The embedded broker has neither TLS nor SASL: such options would only look safe.
fn plain_only(raw: &RawKafka, options: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
    let secure = |protocol: &String| !protocol.eq_ignore_ascii_case("plaintext");
    if options.get("security.protocol").is_some_and(secure) {
        let fault = Fault::new(
            "the embedded broker speaks plaintext only, and security.protocol says otherwise",
            "leave it out and sign commands with key_file, or name the brokers of Apache Kafka",
        );
        At::new(&raw.options_section, problems).whole(fault);
    }
}

/// `[kafka.options]`: all of librdkafka's but those that would contradict other keys.
fn options(raw: &RawKafka, problems: &mut Vec<Problem>) -> Option<BTreeMap<String, String>> {
    const OURS: [&str; 2] = ["bootstrap.servers", "metadata.broker.list"];
    let before = problems.len();
    for (key, _) in raw.options.iter().filter(|(key, _)| OURS.contains(&key.as_str())) {
        let what = format!("{key} has a key of its own");
        let remedy = "leave it out and write brokers = \"...\" in [kafka]";
        At::new(&raw.options_section, problems).whole(Fault::new(what, remedy));
    }
    let options = raw.options.iter().cloned().collect();
    for (option, fault) in files::kafka_option_errors(&options) {
        let fault = Fault::new(
            format!("{option} = {:?}: {fault}", options[option]),
            "correct the path, or let this user read the file",
        );
        At::new(&raw.options_section, problems).whole(fault);
    }
    (problems.len() == before).then_some(options)
}
