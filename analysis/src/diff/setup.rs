//! Comparison of configurations, value by value.

use std::collections::{BTreeMap, BTreeSet};

use protocol::facts::{HostFacts, ServiceRecord};
use serde::Serialize;
use serde_json::Value;

use crate::store::Manifest;

/// The records of described services, by `platform.workload.service`.
type Services = BTreeMap<String, Vec<ServiceRecord>>;

/// A value that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its section: `experiment`, `file`, `controller`, `host NAME`, `service NAME`, `preflight`.
    pub part: String,
    /// Its path, such as `cpu.governor`; for a file, the line.
    pub what: String,
    /// The value in the first run; `None`: absent.
    pub one: Option<String>,
    /// The value in the second run.
    pub other: Option<String>,
}

/// All differences, by section.
#[must_use]
pub fn differences(a: &Manifest, b: &Manifest) -> Vec<Difference> {
    let mut found = between("experiment", &value(&a.experiment), &value(&b.experiment));
    found.extend(lines(&a.source.text, &b.source.text));
    found.extend(between(
        "controller",
        &without_boot_id(&a.controller),
        &without_boot_id(&b.controller),
    ));
    let hosts: BTreeSet<_> = a.hosts.iter().chain(&b.hosts).map(|host| &host.host).collect();
    for name in hosts {
        let of = |manifest: &Manifest| {
            let host = manifest.hosts.iter().find(|host| host.host == *name);
            host.map_or(Value::Null, host_facts)
        };
        found.extend(between(&format!("host {name}"), &of(a), &of(b)));
    }
    found.extend(between("left out", &value(&a.left_out), &value(&b.left_out)));
    let shared = |manifest: &Manifest| value(&manifest.preflight.shared_cpus);
    let waived = |manifest: &Manifest| value(&manifest.preflight.waived);
    found.extend(between("waived", &waived(a), &waived(b)));
    found.extend(between("shared CPUs", &shared(a), &shared(b)));
    found
}

/// Services whose description, program or image differs, among those that both runs have.
#[must_use]
pub fn services(a: &Services, b: &Services) -> Vec<Difference> {
    // A service that changed within a run has several records.
    let of = |records: &[ServiceRecord]| match records {
        [only] => value(only),
        several => value(&several),
    };
    let both = a.iter().filter_map(|(name, one)| Some((name, one, b.get(name)?)));
    both.flat_map(|(name, one, other)| between(&format!("service {name}"), &of(one), &of(other)))
        .collect()
}

/// Changes that are not differences in configuration.
#[must_use]
pub fn notes(a: &Manifest, b: &Manifest) -> Vec<String> {
    let mut notes = Vec::new();
    for host in &a.hosts {
        let Some(later) = b.hosts.iter().find(|other| other.host == host.host) else {
            continue;
        };
        let name = &host.host;
        if host.settings.boot_id != later.settings.boot_id {
            notes.push(format!("host {name} was rebooted in between"));
        }
        let mut pair = |what: &str, one: Option<String>, other: Option<String>| {
            if let (Some(one), Some(other)) = (one, other)
                && one != other
            {
                notes.push(format!("host {name} at the start: {what} {one} and {other}"));
            }
        };
        let (now, then) = (&host.now, &later.now);
        let load = |load: Option<f64>| load.map(|load| format!("{load:.2}"));
        let degrees = |degrees: Option<f64>| degrees.map(|degrees| format!("{degrees:.0} °C"));
        let mib = |bytes: Option<u64>| bytes.map(|bytes| format!("{} MiB", bytes >> 20));
        pair("load average", load(now.load_1m), load(then.load_1m));
        pair("highest temperature", degrees(now.hottest()), degrees(then.hottest()));
        pair("available memory", mib(now.available_bytes), mib(then.available_bytes));
        pair(
            "thermal throttling events since boot",
            now.throttles.map(|n| n.to_string()),
            then.throttles.map(|n| n.to_string()),
        );
    }
    notes
}

fn value(of: &impl Serialize) -> Value {
    // Records are stored as JSON, so serialisation does not fail.
    serde_json::to_value(of).unwrap_or(Value::Null)
}

/// The record without its boot id.
fn without_boot_id(of: &impl Serialize) -> Value {
    let mut value = value(of);
    if let Some(object) = value.as_object_mut() {
        object.remove("boot_id");
    }
    value
}

/// Host facts without boot id and current state. Programs are keyed by path, platforms by kind and nodes by number, so that an additional
/// entry does not shift the others.
fn host_facts(host: &HostFacts) -> Value {
    let mut facts = value(host);
    let named = |name: String, value: Value| (name, value);
    let programs = host.programs.iter().map(|p| named(p.path.clone(), value(&p.sha256)));
    let platforms = host
        .platforms
        .iter()
        .map(|p| named(p.kind.as_str().to_owned(), value(p)));
    let nodes = host.cpu.nodes.iter().map(|n| named(n.node.to_string(), value(n)));
    let (programs, platforms) = (programs.collect(), platforms.collect());
    let nodes = nodes.collect();
    if let Some(object) = facts.as_object_mut() {
        object.remove("now");
        object.insert("programs".to_owned(), Value::Object(programs));
        object.insert("platforms".to_owned(), Value::Object(platforms));
    }
    if let Some(cpu) = facts.get_mut("cpu").and_then(Value::as_object_mut) {
        cpu.insert("nodes".to_owned(), Value::Object(nodes));
    }
    if let Some(settings) = facts.get_mut("settings").and_then(Value::as_object_mut) {
        settings.remove("boot_id");
    }
    facts
}

fn between(part: &str, one: &Value, other: &Value) -> Vec<Difference> {
    let (one, other) = (flat(one), flat(other));
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differing = keys.into_iter().filter(|key| one.get(*key) != other.get(*key));
    differing
        .map(|key| Difference {
            part: part.to_owned(),
            what: key.clone(),
            one: one.get(key).cloned(),
            other: other.get(key).cloned(),
        })
        .collect()
}

/// Every scalar by its path; null is absent.
fn flat(value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    flatten(String::new(), value, &mut found);
    found
}

fn flatten(path: String, value: &Value, found: &mut BTreeMap<String, String>) {
    let below = |key: &str| match path.as_str() {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    };
    match value {
        Value::Null => {}
        Value::Object(object) => object.iter().for_each(|(key, value)| flatten(below(key), value, found)),
        // Items of a list are identified by name, if they have one, or by index.
        Value::Array(items) => (0..).zip(items).for_each(|(at, item): (usize, _)| {
            let name = item.get("name").and_then(Value::as_str);
            flatten(below(name.unwrap_or(&at.to_string())), item, found);
        }),
        Value::String(text) => drop(found.insert(path, text.clone())),
        other => drop(found.insert(path, other.to_string())),
    }
}

/// The lines of the experiment file that only one run has, in order, without comments and blank lines.
fn lines(one: &str, other: &str) -> Vec<Difference> {
    let plain = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    };
    let (one, other) = (plain(one), plain(other));
    let only = |of: &[String], not: &[String]| -> Vec<String> {
        let mut rest = not.to_vec();
        let mut only = Vec::new();
        for line in of {
            match rest.iter().position(|there| there == line) {
                Some(at) => drop(rest.swap_remove(at)),
                None => only.push(line.clone()),
            }
        }
        only
    };
    let difference = |line: &String, is_removed: bool| Difference {
        part: "file".to_owned(),
        what: "line".to_owned(),
        one: is_removed.then(|| line.clone()),
        other: (!is_removed).then(|| line.clone()),
    };
    let removed = only(&one, &other);
    let added = only(&other, &one);
    let removed = removed.iter().map(|line| difference(line, true));
    removed
        .chain(added.iter().map(|line| difference(line, false)))
        .collect()
}
