//! Checks of values: names, choices, ranges, CPUs, paths, and what every program needs to reach Kafka.
#![expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::check::TableCheck;
use super::problem::{Fault, did_you_mean};
use super::units::{parse_size, show_duration};
use crate::Name;
use crate::files;
use crate::sign::SigningKey;
use crate::spec::CpuSet;

/// A name.
///
/// # Errors
/// It is not one.
pub fn name(text: &String) -> Result<Name, Fault> {
    text.parse().map_err(|_| {
        Fault::new(
            "invalid name",
            "use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or a digit",
        )
    })
}

/// One of a few words.
pub fn choice<T: Clone>(words: &[(&str, T)]) -> impl Fn(&String) -> Result<T, Fault> {
    move |text| {
        let found = words.iter().find(|(word, _)| word == text);
        found.map(|(_, value)| value.clone()).ok_or_else(|| {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let remedy = match did_you_mean(text, words.iter().map(|(word, _)| *word)) {
                Some(word) => format!("did you mean {word:?}?"),
                None => format!("write {}", all.join(" or ")),
            };
            Fault::new("unknown value", remedy)
        })
    }
}

/// An integer in a range; `what` names it: "a port".
pub fn integer<T: TryFrom<i64> + Display>(
    what: &'static str,
    range: RangeInclusive<i64>,
    example: T,
) -> impl Fn(&i64) -> Result<T, Fault> {
    move |&number| {
        let in_range = range.contains(&number).then(|| T::try_from(number).ok()).flatten();
        in_range.ok_or_else(|| {
            let what = format!("{what} is {} to {}", range.start(), range.end());
            Fault::new(what, format!("write e.g. {example}"))
        })
    }
}

/// A duration in a range; `what` names it: "a time-out".
pub fn within(
    what: &'static str,
    range: RangeInclusive<Duration>,
    example: &'static str,
) -> impl Fn(&Duration) -> Result<Duration, Fault> {
    move |&duration| {
        if range.contains(&duration) {
            return Ok(duration);
        }
        let what = format!(
            "{what} is {} to {}",
            show_duration(*range.start()),
            show_duration(*range.end())
        );
        Err(Fault::new(what, format!("write e.g. \"{example}\"")))
    }
}

/// A list of CPUs.
///
/// # Errors
/// It is not one.
pub fn cpus(text: &str) -> Result<CpuSet, Fault> {
    /// Longer lists are no lists of CPUs; the limit bounds the work.
    const MAX: usize = 1000;
    let fault = || {
        Fault::new(
            "invalid list of CPUs",
            "write it as the kernel does, e.g. \"0-1,3\" (numbers below 4096)",
        )
    };
    if text.len() > MAX {
        return Err(fault());
    }
    text.parse().map_err(|_| fault())
}

/// A path; whether it exists is not checked.
///
/// # Errors
/// It is not one.
pub fn path(text: &String) -> Result<PathBuf, Fault> {
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new(
            "invalid path",
            "write the path of a file or folder, or omit the key",
        ));
    }
    Ok(PathBuf::from(text))
}

/// A size in units of so many bytes, from a string such as `"64MiB"`.
///
/// # Errors
/// It is not a size, or not a whole number of units.
pub fn size(text: &str, unit: u64) -> Result<i64, Fault> {
    let bytes = parse_size(text)?;
    let units = bytes
        .is_multiple_of(unit)
        .then(|| i64::try_from(bytes / unit).ok())
        .flatten();
    let what = if unit == 1 {
        "too large"
    } else {
        "not a whole number of MiB"
    };
    units.ok_or_else(|| Fault::new(what, "write e.g. \"64MiB\" or \"2GiB\""))
}

/// The longest Kafka topic prefix: topic names have at most 249 characters; this leaves room for the rest.
const MAX_PREFIX: usize = 200;

/// A Kafka topic prefix.
///
/// # Errors
/// It is too long, or has characters that Kafka does not allow in topic names.
pub fn prefix(text: &String) -> Result<String, Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.len() <= MAX_PREFIX && text.chars().all(legal) {
        return Ok(text.clone());
    }
    Err(Fault::new(
        "invalid topic prefix",
        format!("use at most {MAX_PREFIX} of a-z, A-Z, 0-9, ., _ and -, e.g. prefix = \"lab.\""),
    ))
}

/// Addresses of Kafka brokers as `host:port,...`; `remedy` says what to write.
///
/// # Errors
/// A part is not `host:port`.
pub fn brokers(remedy: &'static str) -> impl Fn(&[String]) -> Result<String, Fault> {
    move |parts| match parts.iter().find(|part| !is_host_port(part)) {
        None => Ok(parts.join(",")),
        Some(part) => Err(Fault::new(format!("{part:?} is not host:port"), remedy)),
    }
}

/// Whether this is `host:port` or `[v6]:port`.
#[must_use]
pub fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match v6 {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The signing key in a file.
///
/// # Errors
/// The file cannot be read, or the key is too short.
pub fn signing_key(text: &String) -> Result<SigningKey, Fault> {
    let make = "make one with `openssl rand -hex 32 > lab.key; chmod 600 lab.key`, the same on controller and runners";
    SigningKey::read(&path(text)?).map_err(|error| Fault::new(error.to_string(), make))
}

/// Reports files named by options of librdkafka that cannot be used.
pub fn kafka_files(options: &BTreeMap<String, String>, table: &mut TableCheck<'_>, remedy: &str) {
    for (option, fault) in files::kafka_option_errors(options) {
        table.table_error(Fault::new(format!("{option} = {:?}: {fault}", options[option]), remedy));
    }
}

/// A text that a type defines.
pub fn parsed<T: std::str::FromStr>(what: &'static str, remedy: &'static str) -> impl Fn(&String) -> Result<T, Fault> {
    move |text| text.parse().map_err(|_| Fault::new(format!("invalid {what}"), remedy))
}

/// A value that needs no check.
///
/// # Errors
/// None.
pub fn any<T: Clone>(value: &T) -> Result<T, Fault> {
    Ok(value.clone())
}
