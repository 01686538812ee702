//! `[ready]`.

use std::time::Duration;

use super::check::{PROGRAM, templates};
use super::raw::RawReady;
use crate::load::Transport;
use crate::spec::{
    CommandProbe, ConnectsProbe, DnsProbe, HttpProbe, OutputProbe, Pattern, Probe, Readiness, RedisProbe, StartedProbe,
    UdpProbe, Values,
};
use crate::toml::value::{self, parsed};
use crate::toml::{Fault, Problem, TableCheck};

/// The kinds of probe, by their word.
#[derive(Clone, Copy)]
enum Kind {
    Http,
    Tcp,
    Udp,
    Dns,
    Redis,
    Output,
    Command,
    Started,
}

const KINDS: [(&str, Kind); 8] = [
    ("http", Kind::Http),
    ("tcp", Kind::Tcp),
    ("udp", Kind::Udp),
    ("dns", Kind::Dns),
    ("redis", Kind::Redis),
    ("output", Kind::Output),
    ("command", Kind::Command),
    ("started", Kind::Started),
];

/// The keys of each kind of probe.
const fn keys_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Http => &["path", "status", "body_bytes", "body"],
        Kind::Udp => &["packet", "answer"],
        Kind::Dns => &["name"],
        Kind::Output => &["line"],
        Kind::Command => &["program", "args"],
        Kind::Tcp | Kind::Redis | Kind::Started => &[],
    }
}

/// Checks it; `None`: a problem is reported. `service`: what the service speaks, and whether it has a port.
pub(super) fn check(
    raw: &RawReady,
    service: Option<(Transport, bool)>,
    known: Option<&Values>,
    problems: &mut Vec<Problem>,
) -> Option<Readiness> {
    let mut table = TableCheck::new(&raw.section, problems);
    let default = service.and_then(|(protocol, listens)| match (listens, protocol) {
        (true, Transport::Http) => Some(Kind::Http),
        (true, Transport::Tcp) => Some(Kind::Tcp),
        _ => None,
    });
    if let Some((Transport::Task, _)) = service {
        return task_readiness(raw, &mut table);
    }
    // What is missing here would only follow from another problem.
    if service.is_none() && raw.kind.is_absent() {
        return None;
    }
    let kind = match default {
        Some(default) => table.or(&raw.kind, default, value::choice(&KINDS)),
        None => table.required(
            &raw.kind,
            "kind = \"output\" and line = \"ready\"",
            value::choice(&KINDS),
        ),
    };
    let kind = kind?;
    for field in raw.given() {
        let is_common = ["kind", "interval", "timeout"].contains(&field.key);
        if !is_common && !keys_of(kind).contains(&field.key) {
            let (word, _) = KINDS.iter().find(|(_, other)| keys_of(*other).contains(&field.key))?;
            table.error(
                &field,
                Fault::new(
                    format!("this key is for kind = \"{word}\""),
                    "remove it, or write that kind",
                ),
            );
        }
    }
    let probe = probe(raw, kind, known, &mut table);
    if let (Some(probe), Some((_, false))) = (&probe, service)
        && probe.needs_port()
    {
        let remedy = "declare it: parameters = { port = 8080 }, or write kind = \"output\", \"command\" or \"started\"";
        table.error(
            &raw.kind,
            Fault::new("this probe needs a port, and there is none", remedy),
        );
    }
    let (interval_ms, timeout_ms) = times(raw, &mut table)?;
    Some(Readiness {
        probe: probe?,
        interval_ms,
        timeout_ms,
    })
}

/// A task is ready when the program that starts it for each run is.
fn task_readiness(raw: &RawReady, table: &mut TableCheck<'_>) -> Option<Readiness> {
    for field in raw.given() {
        if !["interval", "timeout"].contains(&field.key) {
            let what = "a task is ready when it can be started";
            table.error(&field, Fault::new(what, "remove it; [task] says what each run must do"));
        }
    }
    let (interval_ms, timeout_ms) = times(raw, table)?;
    Some(Readiness {
        probe: Probe::Http(HttpProbe {
            path: "/".to_owned(),
            status: 200,
            body_bytes: None,
            body: None,
        }),
        interval_ms,
        timeout_ms,
    })
}

/// Interval and time-out, ms.
fn times(raw: &RawReady, table: &mut TableCheck<'_>) -> Option<(Option<u64>, Option<u64>)> {
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    let interval = table.optional(&raw.interval, value::within("an interval", ms(1)..=s(60), "10ms"));
    let timeout = table.optional(&raw.timeout, value::within("a time-out", ms(1)..=s(3600), "30s"));
    let whole = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Some((interval?.map(whole), timeout?.map(whole)))
}

fn probe(raw: &RawReady, kind: Kind, known: Option<&Values>, table: &mut TableCheck<'_>) -> Option<Probe> {
    Some(match kind {
        Kind::Http => Probe::Http(http(raw, table)?),
        Kind::Tcp => Probe::Connects(ConnectsProbe {}),
        Kind::Udp => {
            let packet = table.required(&raw.packet, "packet = \"are you there?\"", value::any);
            let answer = table.required(&raw.answer, "answer = \"yes\"", value::any);
            Probe::Udp(UdpProbe {
                packet: packet?,
                answer: answer?,
            })
        }
        Kind::Dns => Probe::Dns(DnsProbe {
            name: table.required(&raw.name, "name = \"www.example.org\"", domain)?,
        }),
        Kind::Redis => Probe::Redis(RedisProbe {}),
        Kind::Output => Probe::Output(OutputProbe {
            line: table.required(&raw.line, "line = \"^listening\"", pattern)?,
        }),
        Kind::Command => {
            let program = table.required(
                &raw.program,
                "program = \"/usr/bin/pg_isready\"",
                parsed("program", PROGRAM),
            );
            let args = table.or(&raw.args, Vec::new(), templates(known));
            Probe::Command(CommandProbe {
                program: program?,
                args: args?,
            })
        }
        Kind::Started => Probe::Started(StartedProbe {}),
    })
}

fn http(raw: &RawReady, table: &mut TableCheck<'_>) -> Option<HttpProbe> {
    let path = table.or(&raw.path, "/".to_owned(), |text: &String| {
        let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_path.then(|| text.clone()).ok_or_else(|| {
            Fault::new(
                "invalid path",
                "write a path that begins with /, e.g. path = \"/health\"",
            )
        })
    });
    let status = table.or(&raw.status, 200, value::integer("a status", 100..=599, 200));
    let body_bytes = table.optional(
        &raw.body_bytes,
        value::integer("the length of a body in bytes", 0..=64 << 20, 1000),
    );
    let body = table.optional(&raw.body, pattern);
    Some(HttpProbe {
        path: path?,
        status: status?,
        body_bytes: body_bytes?,
        body: body?,
    })
}

#[expect(clippy::ptr_arg, reason = "a check takes what a field holds")]
fn pattern(text: &String) -> Result<Pattern, Fault> {
    text.parse::<Pattern>().map_err(|error| {
        let what = format!("invalid regular expression ({})", error.why);
        Fault::new(
            what,
            "correct it; in single quotation marks, backslashes stay as they are",
        )
    })
}

/// A domain name: labels of 1 to 63 bytes, together at most 253.
#[expect(clippy::ptr_arg, reason = "a check takes what a field holds")]
fn domain(text: &String) -> Result<String, Fault> {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(text.clone());
    }
    Err(Fault::new(
        "invalid domain name",
        "write e.g. name = \"www.example.org\"",
    ))
}
