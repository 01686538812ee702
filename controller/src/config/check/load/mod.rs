//! `[[load]]`.

mod external;
mod max;
mod ramp;
mod rate;
mod udp;
mod users;

use std::time::Duration;

use super::at::{self, At, Unique};
use super::value;
use crate::config::Load;
use crate::config::problem::{Fault, Problem};
use crate::config::raw::{RawExperiment, RawLoad, RawLoadKeys};
use protocol::load::Wait;
use protocol::load::{LoadKind, LoadSpec, NoLoad, Timing};

const HOUR: Duration = Duration::from_secs(3600);

/// The kinds of load, by their word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rate,
    Ramp,
    Users,
    Max,
    Httperf,
    Jmeter,
    None,
    Udp,
}

/// Their words.
const KINDS: [(&str, Kind); 8] = [
    ("rate", Kind::Rate),
    ("ramp", Kind::Ramp),
    ("users", Kind::Users),
    ("max", Kind::Max),
    ("httperf", Kind::Httperf),
    ("jmeter", Kind::Jmeter),
    ("none", Kind::None),
    ("udp", Kind::Udp),
];

/// Keys of every kind.
const COMMON: [&str; 5] = ["kind", "name", "warm_up", "timeout", "cpus"];

impl Kind {
    /// The word for it.
    fn as_str(self) -> &'static str {
        KINDS
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(word, _)| word)
    }

    /// Keys besides the common ones.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Rate => &["duration", "keep_alive", "rate", "arrivals"],
            Self::Ramp => &[
                "duration",
                "keep_alive",
                "arrivals",
                "from",
                "to",
                "step",
                "max_errors",
                "max_response",
                "percentile",
                "resolution",
                "repeats",
            ],
            Self::Users => &[
                "duration",
                "keep_alive",
                "users",
                "requests",
                "warm_up_requests",
                "think_time",
                "think",
                "ramp_up",
            ],
            Self::Max => &["duration", "keep_alive", "connections"],
            Self::Httperf => &["duration", "keep_alive", "rate", "calls"],
            Self::Jmeter => &["duration", "keep_alive", "users", "think_time"],
            Self::None => &["duration", "keep_alive"],
            Self::Udp => &["packets", "size", "pace", "window", "search"],
        }
    }
}

/// Checks every `[[load]]`; `None` has left a problem.
pub(super) fn check(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Vec<Load>> {
    let none = ("[[load]]", "add [[load]] and kind, name, rate and duration below it");
    at::each(&raw.loads, &raw.file, none, problems, one)
}

fn one(raw: &RawLoad, taken: &mut Unique, problems: &mut Vec<Problem>) -> Option<Load> {
    let keys = &raw.keys;
    let mut at = At::new(&keys.section, problems);
    let kind = at.required(&keys.kind, "kind = \"rate\"", value::choice(&KINDS));
    let name = at.required(&keys.name, "name = \"rate-500\"", value::name);
    if let Some(name) = &name {
        taken.take(&mut at, &keys.name, name);
    }
    let kind = kind?;
    foreign(raw, kind, &mut at);
    let kind = match kind {
        Kind::Rate => rate::check(keys, &mut at).map(LoadKind::Rate),
        Kind::Ramp => ramp::check(keys, &mut at).map(LoadKind::Ramp),
        Kind::Users => users::check(raw, problems).map(LoadKind::Users),
        Kind::Max => max::check(keys, &mut at).map(LoadKind::Max),
        Kind::Httperf => external::httperf(keys, &mut at).map(LoadKind::Httperf),
        Kind::Jmeter => external::jmeter(keys, &mut at).map(LoadKind::Jmeter),
        Kind::None => none(keys, &mut at).map(LoadKind::None),
        Kind::Udp => udp::check(keys, &mut at).map(LoadKind::Udp),
    };
    Some(Load {
        name: name?,
        spec: LoadSpec {
            kind: kind?,
            wait: Wait::default(),
        },
    })
}

/// Keys that are of another kind.
fn foreign(raw: &RawLoad, kind: Kind, at: &mut At<'_>) {
    for field in raw.keys.given() {
        if COMMON.contains(&field.key) || kind.keys().contains(&field.key) {
            continue;
        }
        let owners = KINDS.iter().filter(|(_, owner)| owner.keys().contains(&field.key));
        let owners: Vec<_> = owners.map(|(word, _)| format!("kind = \"{word}\"")).collect();
        let what = format!("a load of kind \"{}\" has no such key", kind.as_str());
        let remedy = format!("remove it; it belongs to {}", owners.join(" and "));
        at.error(&field, Fault::new(what, remedy));
    }
    if kind != Kind::Users
        && let Some(mix) = raw.mix.first()
    {
        let fault = Fault::new("only users have a mix", "remove it, or write kind = \"users\"");
        at.elsewhere(&mix.section).whole(fault);
    }
}

/// `kind = "none"`.
fn none(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<NoLoad> {
    let what = "where nothing is sent, this key has no meaning";
    at.foreign(&keys.warm_up, what, "leave it out");
    at.foreign(&keys.timeout, what, "leave it out");
    at.foreign(&keys.keep_alive, what, "leave it out");
    at.foreign(&keys.cpus, what, "leave it out");
    let duration = at.or(&keys.duration, Duration::from_secs(2), window());
    let timing = Timing {
        warm_up: Duration::ZERO,
        duration: duration?,
        timeout: Duration::ZERO,
    };
    Some(NoLoad { timing })
}

/// What every load has of time; the window is `duration`.
fn timing(keys: &RawLoadKeys, duration: Option<Duration>, at: &mut At<'_>) -> Option<Timing> {
    let warm_up = at.or(
        &keys.warm_up,
        Duration::from_secs(2),
        value::within("a warm-up", Duration::ZERO..=HOUR, "2s"),
    );
    let timeout = at.or(
        &keys.timeout,
        Duration::from_secs(2),
        value::within("a time-out", Duration::from_millis(1)..=HOUR, "2s"),
    );
    Some(Timing {
        warm_up: warm_up?,
        duration: duration?,
        timeout: timeout?,
    })
}

/// A measured window that must be said.
fn duration(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<Duration> {
    at.required(&keys.duration, "duration = \"10s\"", window())
}

/// A measured window.
fn window() -> impl Fn(&Duration) -> Result<Duration, Fault> {
    value::within("a measured window", Duration::from_millis(100)..=24 * HOUR, "10s")
}

/// The CPUs of the generator's threads.
fn cpus(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<Vec<u32>> {
    let set = at.optional(&keys.cpus, value::cpus)?;
    Some(set.map_or_else(Vec::new, |set| set.cpus().to_vec()))
}
