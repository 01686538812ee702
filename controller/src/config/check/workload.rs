//! `[[workload]]`.

use super::at::{self, At, Unique};
use super::{jung, value};
use crate::config::problem::{Fault, Problem};
use crate::config::raw::{RawExperiment, RawWorkload};
use crate::config::{TcpWorkload, UdpWorkload, Workload, WorkloadKind};

/// The longest body, bytes.
const MAX_REPLY: i64 = 16 << 20;

/// The most letters that a packet carries beside its number.
const MAX_LETTERS: i64 = 65_499;

/// The kinds of workload, by their word.
#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Jung,
    Udp,
}

/// Their words.
const KINDS: [(&str, Kind); 3] = [("tcp", Kind::Tcp), ("udp", Kind::Udp), ("jung", Kind::Jung)];

/// Checks every `[[workload]]`; `None` has left a problem.
pub(super) fn check(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Vec<Workload>> {
    let none = ("[[workload]]", "add [[workload]] and kind = \"tcp\" below it");
    at::each(&raw.workloads, &raw.file, none, problems, one)
}

fn one(raw: &RawWorkload, taken: &mut Unique, problems: &mut Vec<Problem>) -> Option<Workload> {
    let mut at = At::new(&raw.section, problems);
    let kind = at.required(&raw.kind, "kind = \"tcp\"", value::choice(&KINDS));
    let name = at.name_or_kind(&raw.name, &raw.kind, taken);
    let kind = match kind? {
        Kind::Tcp => {
            jung::foreign(raw, &mut at);
            udp_foreign(raw, &mut at);
            tcp(raw, &mut at).map(WorkloadKind::Tcp)
        }
        Kind::Jung => {
            at.foreign(&raw.reply_bytes, "this key is for kind = \"tcp\"", "leave it out here");
            at.foreign(&raw.copies, "this key is for kind = \"tcp\"", "leave it out here");
            udp_foreign(raw, &mut at);
            jung::check(raw, &mut at).map(|jung| WorkloadKind::Jung(Box::new(jung)))
        }
        Kind::Udp => {
            jung::foreign(raw, &mut at);
            at.foreign(&raw.copies, "this key is for kind = \"tcp\"", "leave it out here");
            udp(raw, &mut at).map(WorkloadKind::Udp)
        }
    };
    Some(Workload {
        name: name?,
        kind: kind?,
    })
}

fn udp(raw: &RawWorkload, at: &mut At<'_>) -> Option<UdpWorkload> {
    let port = at.or(&raw.port, 8081, value::whole("a port", 1..=65_535, 8081));
    let letters = at.optional(
        &raw.reply_bytes,
        value::whole("the number of letters of a reply", 0..=MAX_LETTERS, 1000),
    );
    let echo = at.or(&raw.echo, false, value::any);
    let sockets = at.or(&raw.sockets, 1, value::whole("a number of sockets", 1..=1024, 1));
    let receive_buffer = at.optional(
        &raw.receive_buffer,
        value::whole("a receive buffer in bytes", 1..=1 << 30, 1 << 20),
    );
    if echo? {
        at.foreign(
            &raw.reply_bytes,
            "an echo has no letters of its own",
            "remove it, or remove echo",
        );
    }
    Some(UdpWorkload {
        port: port?,
        letters: (!echo?).then_some(letters?.unwrap_or(1000)),
        sockets: sockets?,
        receive_buffer: receive_buffer?,
    })
}

/// Keys of packets under another kind.
fn udp_foreign(raw: &RawWorkload, at: &mut At<'_>) {
    const WHAT: &str = "this key is for kind = \"udp\"";
    const REMEDY: &str = "leave it out here";
    at.foreign(&raw.echo, WHAT, REMEDY);
    at.foreign(&raw.sockets, WHAT, REMEDY);
    at.foreign(&raw.receive_buffer, WHAT, REMEDY);
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
