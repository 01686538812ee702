//! `[[seed]]`.

use super::check::{PROGRAM, template, templates};
use super::raw::RawSeed;
use crate::load::Method;
use crate::spec::{CommandProbe, HttpSeed, INDEX, RedisSeed, SeedStep, Template, Values};
use crate::toml::value::{self, parsed};
use crate::toml::{Fault, Problem, TableCheck};

/// The kinds of step, by their word.
#[derive(Clone, Copy)]
enum Kind {
    Command,
    Http,
    Redis,
}

const KINDS: [(&str, Kind); 3] = [("command", Kind::Command), ("http", Kind::Http), ("redis", Kind::Redis)];

/// The keys of each kind.
const fn keys_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Command => &["program", "args"],
        Kind::Http => &["method", "path", "body", "status", "times"],
        Kind::Redis => &["keys", "value_bytes", "prefix"],
    }
}

/// Checks a step; `None`: a problem is reported.
pub(super) fn check(
    raw: &RawSeed,
    known: Option<&Values>,
    listens: bool,
    problems: &mut Vec<Problem>,
) -> Option<SeedStep> {
    let mut table = TableCheck::new(&raw.section, problems);
    let kind = table.required(&raw.kind, "kind = \"http\"", value::choice(&KINDS))?;
    for field in raw.given() {
        if field.key == "kind" || keys_of(kind).contains(&field.key) {
            continue;
        }
        let (word, _) = KINDS.iter().find(|(_, other)| keys_of(*other).contains(&field.key))?;
        let fault = Fault::new(
            format!("this key is for kind = \"{word}\""),
            "remove it, or write that kind",
        );
        table.error(&field, fault);
    }
    if !listens && !matches!(kind, Kind::Command) {
        let remedy = "declare it: parameters = { port = 8080 }, or write kind = \"command\"";
        table.error(
            &raw.kind,
            Fault::new("this step needs a port, and there is none", remedy),
        );
    }
    Some(match kind {
        Kind::Command => {
            let program = table.required(
                &raw.program,
                "program = \"/usr/bin/redis-cli\"",
                parsed("program", PROGRAM),
            );
            let args = table.or(&raw.args, Vec::new(), templates(known));
            SeedStep::Command(CommandProbe {
                program: program?,
                args: args?,
            })
        }
        Kind::Http => SeedStep::Http(http(raw, known, &mut table)?),
        Kind::Redis => {
            let keys = table.required(&raw.keys, "keys = 100000", template(known));
            let value_bytes = table.required(&raw.value_bytes, "value_bytes = 100", template(known));
            let prefix = table.or(&raw.prefix, "key:".to_owned(), |text: &String| {
                let is_key = text.len() <= 100 && text.chars().all(|c| c.is_ascii_graphic());
                is_key.then(|| text.clone()).ok_or_else(|| {
                    Fault::new(
                        "invalid prefix",
                        "write up to 100 letters, digits and signs, e.g. \"key:\"",
                    )
                })
            });
            SeedStep::Redis(RedisSeed {
                keys: keys?,
                value_bytes: value_bytes?,
                prefix: prefix?,
            })
        }
    })
}

fn http(raw: &RawSeed, known: Option<&Values>, table: &mut TableCheck<'_>) -> Option<HttpSeed> {
    let numbered = known.map(|known| {
        let mut known = known.clone();
        known.set(INDEX, 0);
        known
    });
    // A reply to HEAD says nothing that a seed needs.
    let methods = Method::ALL.into_iter().filter(|method| *method != Method::Head);
    let methods: Vec<_> = methods.map(|method| (method.as_str(), method)).collect();
    let method = table.or(&raw.method, Method::Post, value::choice(&methods));
    let path = table.required(&raw.path, "path = \"/users\"", |text: &String| {
        if !text.starts_with('/') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Fault::new(
                "invalid path",
                "write a path that begins with /, e.g. path = \"/users/{index}\"",
            ));
        }
        template(numbered.as_ref())(text)
    });
    let text = |text: &str| text.parse::<Template>().ok();
    let body = table.or(&raw.body, text("")?, template(numbered.as_ref()));
    let status = table.or(&raw.status, 200, value::integer("a status", 100..=599, 201));
    let times = table.or(&raw.times, text("1")?, template(known));
    Some(HttpSeed {
        method: method?,
        path: path?,
        body: body?,
        status: status?,
        times: times?,
    })
}
