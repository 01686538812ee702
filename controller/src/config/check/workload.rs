//! `[[workload]]`.

use protocol::ids::Name;

use super::at::{At, Unique};
use super::{jung, value};
use crate::config::experiment::{TcpWorkload, Workload, WorkloadKind};
use crate::config::problem::{Fault, Problem};
use crate::config::raw::{RawExperiment, RawWorkload};
use crate::config::section::Section;

/// The longest body, bytes.
const MAX_REPLY: i64 = 16 << 20;

/// The kinds of workload, by their word.
#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Jung,
}

/// Their words.
const KINDS: [(&str, Kind); 2] = [("tcp", Kind::Tcp), ("jung", Kind::Jung)];

/// Checks every `[[workload]]`; `None` has left a problem.
pub(super) fn check(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Vec<Workload>> {
    if raw.workloads.is_empty() {
        let section = Section {
            file: raw.file.clone(),
            label: "[[workload]]".to_owned(),
            line: None,
        };
        let fault = Fault::new(
            "there is none, and at least one is needed",
            "add [[workload]] and kind = \"tcp\" below it",
        );
        At::new(&section, problems).whole(fault);
        return None;
    }
    let mut taken = Unique::default();
    let checked: Vec<_> = raw.workloads.iter().map(|raw| one(raw, &mut taken, problems)).collect();
    checked.into_iter().collect()
}

fn one(raw: &RawWorkload, taken: &mut Unique, problems: &mut Vec<Problem>) -> Option<Workload> {
    let mut at = At::new(&raw.section, problems);
    let kind = at.required(&raw.kind, "kind = \"tcp\"", value::choice(&KINDS));
    let name = at
        .optional(&raw.name, value::name)
        .map(|name| name.or_else(|| by_kind(raw)));
    if let Some(Some(name)) = &name {
        let field = if raw.name.value().is_some() {
            &raw.name
        } else {
            &raw.kind
        };
        taken.take(&mut at, field, name);
    }
    let kind = match kind? {
        Kind::Tcp => {
            jung::foreign(raw, &mut at);
            tcp(raw, &mut at).map(WorkloadKind::Tcp)
        }
        Kind::Jung => {
            at.foreign(&raw.reply_bytes, "this key is for kind = \"tcp\"", "leave it out here");
            at.foreign(&raw.copies, "this key is for kind = \"tcp\"", "leave it out here");
            jung::check(raw, &mut at).map(|jung| WorkloadKind::Jung(Box::new(jung)))
        }
    };
    Some(Workload {
        name: name??,
        kind: kind?,
    })
}

fn by_kind(raw: &RawWorkload) -> Option<Name> {
    raw.kind.value()?.parse().ok()
}

fn tcp(raw: &RawWorkload, at: &mut At<'_>) -> Option<TcpWorkload> {
    let port = at.or(&raw.port, 8080, value::whole("a port", 1..=65_535, 8080));
    let reply_bytes = at.or(
        &raw.reply_bytes,
        1000,
        value::whole("the length of a reply", 0..=MAX_REPLY, 1000),
    );
    let copies = at.or(&raw.copies, 1, value::whole("a number of copies", 1..=200, 10));
    if let (Some(port), Some(copies)) = (port, copies)
        && 65_535 - port < copies - 1
    {
        let what = format!("{copies} copies need as many ports in a row, from {port}");
        at.error(&raw.copies, Fault::new(what, "lower port, or copies"));
    }
    Some(TcpWorkload {
        copies: copies?,
        port: port?,
        reply_bytes: reply_bytes?,
    })
}
