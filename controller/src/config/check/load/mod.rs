//! `[[load]]`.

mod command;
mod http;
mod users;

use std::path::Path;
use std::time::Duration;

use loader::external;
use protocol::load::{
    Arrivals, Bounds, HttperfLoad, JmeterLoad, Limit, LoadKind, LoadSpec, MaxLoad, NoLoad, RampLoad, RateLoad, Timing,
    UdpLoad, Wait,
};
use protocol::toml::{Fault, Problem, TableCheck, Unique, each, value};

use crate::config::Load;
use crate::config::raw::{RawExperiment, RawLoad, RawLoadKeys};

const HOUR: Duration = Duration::from_secs(3600);
/// The highest rate, requests a second: above what one generator on one machine can send.
const MAX_RATE: f64 = 1e6;
/// The most steps of a search.
const MAX_STEPS: u32 = 1000;
/// The most packets of a stream.
const MAX_PACKETS: i64 = 10_000_000;
/// The least time that a stream may take, whatever its pace.
const MIN_STREAM: Duration = Duration::from_secs(60);

/// A kind of load.
struct Kind {
    word: &'static str,
    /// Its keys besides the common ones.
    keys: &'static [&'static str],
    /// Whether it sends HTTP requests that `[[load.request]]` describes.
    is_http: bool,
    check: fn(&RawLoad, &mut TableCheck<'_>) -> Option<LoadKind>,
}

/// Every kind of load.
const KINDS: [Kind; 9] = [
    Kind {
        word: "rate",
        keys: &["duration", "keep_alive", "order", "host", "rate", "arrivals", "jitter"],
        is_http: true,
        check: |raw, table| rate(&raw.keys, table).map(LoadKind::Rate),
    },
    Kind {
        word: "ramp",
        keys: &[
            "duration",
            "keep_alive",
            "order",
            "host",
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
        is_http: true,
        check: |raw, table| ramp(&raw.keys, table).map(LoadKind::Ramp),
    },
    Kind {
        word: "users",
        keys: &[
            "duration",
            "keep_alive",
            "order",
            "host",
            "users",
            "requests",
            "warm_up_requests",
            "think_time",
            "think",
            "ramp_up",
        ],
        is_http: true,
        check: |raw, table| users::check(&raw.keys, table).map(LoadKind::Users),
    },
    Kind {
        word: "max",
        keys: &["duration", "keep_alive", "order", "host", "connections"],
        is_http: true,
        check: |raw, table| max(&raw.keys, table).map(LoadKind::Max),
    },
    Kind {
        word: "httperf",
        keys: &["duration", "keep_alive", "rate", "calls"],
        is_http: false,
        check: |raw, table| httperf(&raw.keys, table).map(LoadKind::Httperf),
    },
    Kind {
        word: "jmeter",
        keys: &["duration", "keep_alive", "users", "think_time"],
        is_http: false,
        check: |raw, table| jmeter(&raw.keys, table).map(LoadKind::Jmeter),
    },
    Kind {
        word: "command",
        keys: command::KEYS,
        is_http: false,
        check: |raw, table| command::check(raw, table).map(|load| LoadKind::Command(Box::new(load))),
    },
    Kind {
        word: "none",
        keys: &["duration", "keep_alive"],
        is_http: false,
        check: |raw, table| none(&raw.keys, table).map(LoadKind::None),
    },
    Kind {
        word: "udp",
        keys: &["packets", "size", "pace", "window", "search"],
        is_http: false,
        check: |raw, table| udp(&raw.keys, table).map(LoadKind::Udp),
    },
];

/// Keys of every kind.
const COMMON: [&str; 5] = ["kind", "name", "warm_up", "timeout", "cpus"];

/// Checks every `[[load]]`; `None`: a problem is reported.
pub(super) fn check(raw: &RawExperiment, may_be_none: bool, problems: &mut Vec<Problem>) -> Option<Vec<Load>> {
    if raw.loads.is_empty() && may_be_none {
        return Some(Vec::new());
    }
    let none = ("[[load]]", "add [[load]] and kind, name, rate and duration below it");
    each(&raw.loads, &raw.file, none, problems, one)
}

fn one(raw: &RawLoad, taken: &mut Unique, problems: &mut Vec<Problem>) -> Option<Load> {
    let keys = &raw.keys;
    let mut table = TableCheck::new(&keys.section, problems);
    let kinds: Vec<_> = KINDS.iter().map(|kind| (kind.word, kind)).collect();
    let kind = table.required(&keys.kind, "kind = \"rate\"", value::choice(&kinds));
    let name = table.required(&keys.name, "name = \"rate-500\"", value::name);
    if let Some(name) = &name {
        taken.take(&mut table, &keys.name, name);
    }
    let kind = kind?;
    forbid_others(raw, kind, &mut table);
    let http = http::check(raw, kind.is_http, &mut table);
    let spec = (kind.check)(raw, &mut table);
    Some(Load {
        name: name?,
        spec: LoadSpec {
            kind: spec?,
            wait: Wait::default(),
            keep_awake: true,
            http: http?,
        },
    })
}

/// The problems of loads on this machine: programs that cannot be run here.
pub(super) fn on_this_machine(raw: &RawExperiment, loads: &[Load]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (raw, load) in raw.loads.iter().zip(loads) {
        if let LoadKind::Command(program) = &load.spec.kind {
            let mut table = TableCheck::new(&raw.keys.section, &mut problems);
            command::unusable(raw, program, &mut table);
        }
    }
    problems
}

/// Reports keys of other kinds.
fn forbid_others(raw: &RawLoad, kind: &Kind, table: &mut TableCheck<'_>) {
    for field in raw.given() {
        if COMMON.contains(&field.key) || kind.keys.contains(&field.key) {
            continue;
        }
        let owners = KINDS.iter().filter(|owner| owner.keys.contains(&field.key));
        let owners: Vec<_> = owners.map(|owner| format!("kind = \"{}\"", owner.word)).collect();
        let what = format!("a load of kind \"{}\" has no such key", kind.word);
        let remedy = format!("remove it; it belongs to {}", owners.join(" and "));
        table.error(&field, Fault::new(what, remedy));
    }
    if kind.word != "command" {
        let figures = raw.command.figures.iter().map(|figure| &figure.section);
        for section in figures.chain(raw.command.files.iter().map(|file| &file.section)) {
            let fault = Fault::new(
                "only a program has figures and files",
                "remove it, or write kind = \"command\"",
            );
            table.elsewhere(section).table_error(fault);
        }
    }
}

/// `kind = "rate"`: open loop at a constant rate.
fn rate(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<RateLoad> {
    let rate_per_s = table.required(&keys.rate, "rate = 500", rate_per_s);
    let duration = duration(keys, table);
    let timing = timing(keys, duration, table);
    let arrivals = arrivals(keys, table);
    let arrivals = jittered(keys, arrivals, rate_per_s, table);
    let keep_alive = table.or(&keys.keep_alive, false, value::any);
    let cpus = cpus(keys, table);
    if let (Some(rate), Some(duration)) = (rate_per_s, duration)
        && rate * duration.as_secs_f64() < 1.0
    {
        let what = "no request would be sent in the measurement window";
        table.error(&keys.rate, Fault::new(what, "raise the rate or the duration"));
    }
    Some(RateLoad {
        rate_per_s: rate_per_s?,
        timing: timing?,
        arrivals: arrivals?,
        keep_alive: keep_alive?,
        cpus: cpus?,
    })
}

/// Uniform arrivals with `jitter`, which Poisson arrivals do not need.
fn jittered(
    keys: &RawLoadKeys,
    arrivals: Option<Arrivals>,
    rate_per_s: Option<f64>,
    table: &mut TableCheck<'_>,
) -> Option<Arrivals> {
    let jitter = table.or(&keys.jitter, Duration::ZERO, value::any)?;
    if arrivals? == Arrivals::Poisson {
        let what = "Poisson arrivals are random already";
        table.forbid(&keys.jitter, what, "remove it, or write arrivals = \"uniform\"");
    }
    if jitter.is_zero() {
        return arrivals;
    }
    let interval = Duration::from_secs_f64(1.0 / rate_per_s?);
    if jitter > interval {
        let what = "a jitter longer than the interval between requests would change their order";
        let remedy = format!("write at most 1 / rate, \"{}us\"", interval.as_micros());
        table.error(&keys.jitter, Fault::new(what, remedy));
    }
    Some(Arrivals::Jittered(jitter))
}

/// When requests are due.
fn arrivals(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<Arrivals> {
    let words = [("uniform", Arrivals::Uniform), ("poisson", Arrivals::Poisson)];
    table.or(&keys.arrivals, Arrivals::Uniform, value::choice(&words))
}

/// Requests a second.
fn rate_per_s(&rate: &f64) -> Result<f64, Fault> {
    if rate > 0.0 && rate <= MAX_RATE {
        Ok(rate)
    } else if rate > MAX_RATE {
        Err(Fault::new(
            format!("a rate above {MAX_RATE} requests a second cannot be sent"),
            "write e.g. rate = 500",
        ))
    } else {
        Err(Fault::new(
            "a rate is above 0 requests a second",
            "write e.g. rate = 500",
        ))
    }
}

/// `kind = "ramp"`: open loops in search of the highest rate that is sustained.
fn ramp(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<RampLoad> {
    let bounds = bounds(keys, table);
    let limit = limit(keys, table);
    let duration = duration(keys, table);
    let timing = timing(keys, duration, table);
    let arrivals = arrivals(keys, table);
    let keep_alive = table.or(&keys.keep_alive, false, value::any);
    let cpus = cpus(keys, table);
    let (bounds, step) = (bounds?, timing?);
    Some(RampLoad {
        timing: whole(bounds, step),
        bounds,
        limit: limit?,
        step,
        arrivals: arrivals?,
        keep_alive: keep_alive?,
        cpus: cpus?,
    })
}

/// The whole search as the warm-up of its last window; each step may take its time-out longer.
fn whole(bounds: Bounds, step: Timing) -> Timing {
    let each = step.warm_up + step.duration + step.timeout;
    Timing {
        warm_up: each.saturating_mul(bounds.max_steps()) + step.warm_up,
        ..step
    }
}

fn bounds(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<Bounds> {
    let from = table.required(&keys.from, "from = 500", rate_per_s);
    let to = table.required(&keys.to, "to = 10000", rate_per_s);
    let step = table.required(&keys.step, "step = 500", rate_per_s);
    let resolution = table.or(&keys.resolution, 0.05, percent("a resolution", 0.1..=50.0));
    let repeats = table.or(&keys.repeats, 3, value::integer("a number of repeats", 0..=100, 3));
    let bounds = Bounds {
        from: from?,
        to: to?,
        step: step?,
        resolution: resolution?,
        repeats: repeats?,
    };
    if bounds.from > bounds.to {
        table.error(&keys.to, Fault::new("it is below `from`", "write a rate above it"));
        return None;
    }
    if (bounds.to - bounds.from) / bounds.step > f64::from(MAX_STEPS) {
        let what = format!("`from` to `to` takes more than {MAX_STEPS} steps");
        table.error(&keys.step, Fault::new(what, "write a larger step"));
        return None;
    }
    Some(bounds)
}

fn limit(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<Limit> {
    let errors = table.or(&keys.max_errors, 0.01, percent("a share of failures", 0.0..=100.0));
    let response = table.optional(
        &keys.max_response,
        value::within("a response time", Duration::from_micros(1)..=HOUR, "50ms"),
    );
    let quantile = table.or(&keys.percentile, 0.99, percent("a percentile", 1.0..=100.0));
    Some(Limit {
        errors: errors?,
        response: response?,
        quantile: quantile?,
    })
}

/// A percentage in a range, as a share.
fn percent(what: &'static str, range: std::ops::RangeInclusive<f64>) -> impl Fn(&f64) -> Result<f64, Fault> {
    move |value| {
        if range.contains(value) {
            return Ok(value / 100.0);
        }
        let what = format!("{what} is {} to {} percent", range.start(), range.end());
        Err(Fault::new(what, format!("write e.g. {}", range.start().max(1.0))))
    }
}

/// `kind = "max"`: closed loop as fast as it goes.
fn max(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<MaxLoad> {
    let connections = table.required(
        &keys.connections,
        "connections = 64",
        value::integer("a number of connections", 1..=10_000, 64),
    );
    let duration = duration(keys, table);
    let timing = timing(keys, duration, table);
    let keep_alive = table.or(&keys.keep_alive, true, value::any);
    let cpus = cpus(keys, table);
    Some(MaxLoad {
        connections: connections?,
        timing: timing?,
        keep_alive: keep_alive?,
        cpus: cpus?,
    })
}

/// `kind = "httperf"`: the real program.
fn httperf(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<HttperfLoad> {
    needs(keys, table, Path::new("httperf"), external::httperf::REMEDY);
    let rate_per_s = table.required(&keys.rate, "rate = 500", rate_per_s);
    let duration = duration(keys, table);
    let timing = timing(keys, duration, table);
    let calls = table.or(
        &keys.calls,
        1,
        value::integer("the requests of a connection", 1..=10_000, 10),
    );
    let cpus = cpus(keys, table);
    Some(HttperfLoad {
        rate_per_s: rate_per_s?,
        timing: timing?,
        calls: calls?,
        cpus: cpus?,
    })
}

/// `kind = "jmeter"`: the real program.
fn jmeter(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<JmeterLoad> {
    needs(keys, table, &external::jmeter::script(), external::jmeter::REMEDY);
    needs(
        keys,
        table,
        Path::new("java"),
        "apt-get install openjdk-17-jre-headless",
    );
    let users = table.required(
        &keys.users,
        "users = 20",
        value::integer("a number of users", 1..=10_000, 20),
    );
    let duration = duration(keys, table);
    let timing = timing(keys, duration, table);
    let think = table.or(
        &keys.think_time,
        Duration::ZERO,
        value::within("a think time", Duration::ZERO..=HOUR, "100ms"),
    );
    let keep_alive = table.or(&keys.keep_alive, true, value::any);
    let cpus = cpus(keys, table);
    Some(JmeterLoad {
        users: users?,
        timing: timing?,
        think: think?,
        keep_alive: keep_alive?,
        cpus: cpus?,
    })
}

/// Warns of a program that is not on this machine; the run may be meant for another.
fn needs(keys: &RawLoadKeys, table: &mut TableCheck<'_>, program: &Path, remedy: &str) {
    if !external::is_installed(program) {
        let what = format!("{} is missing on this machine", program.display());
        table.warn(&keys.kind, Fault::new(what, remedy));
    }
}

/// `kind = "none"`.
fn none(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<NoLoad> {
    let what = "nothing is sent, so this key has no effect";
    table.forbid(&keys.warm_up, what, "remove it");
    table.forbid(&keys.timeout, what, "remove it");
    table.forbid(&keys.keep_alive, what, "remove it");
    table.forbid(&keys.cpus, what, "remove it");
    let duration = table.or(&keys.duration, Duration::from_secs(2), window());
    let timing = Timing {
        warm_up: Duration::ZERO,
        duration: duration?,
        timeout: Duration::ZERO,
    };
    Some(NoLoad { timing })
}

/// `kind = "udp"`: a stream of packets.
fn udp(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<UdpLoad> {
    let ms = Duration::from_millis;
    let packets = table.or(
        &keys.packets,
        100_000,
        value::integer("a number of packets", 1..=MAX_PACKETS, 100_000),
    );
    let size = table.or(
        &keys.size,
        8,
        value::integer("the length of a packet, whose number takes 8 bytes,", 8..=65_507, 8),
    );
    let pace = table.optional(
        &keys.pace,
        value::within("a pace", Duration::ZERO..=Duration::from_secs(1), "2us"),
    );
    let window = table.optional(
        &keys.window,
        value::integer("a number of packets under way", 1..=1_000_000, 64),
    );
    let search = table.optional(
        &keys.search,
        value::within("the time for the search", ms(100)..=HOUR, "30s"),
    );
    let warm_up = table.or(
        &keys.warm_up,
        ms(200),
        value::within("a warm-up", Duration::ZERO..=HOUR, "200ms"),
    );
    let timeout = table.or(
        &keys.timeout,
        Duration::from_secs(1),
        value::within("a time-out", ms(1)..=HOUR, "1s"),
    );
    let cpus = cpus(keys, table)?;
    let (packets, pace, window) = (packets?, pace?, window?);
    if window.is_none() && pace.unwrap_or_default().is_zero() {
        let fault = Fault::new(
            "packets need a pace, or a window of packets under way",
            "write e.g. pace = \"2us\", or window = 64",
        );
        table.error(&keys.pace, fault);
        return None;
    }
    let threads = cpus.len().max(1);
    if packets < threads as u64 || window.is_some_and(|window: u32| (window as usize) < threads) {
        let what = format!("{threads} threads cannot share fewer packets than they are");
        table.error(
            &keys.cpus,
            Fault::new(what, "name fewer CPUs, or more packets and a larger window"),
        );
        return None;
    }
    let mut load = UdpLoad {
        packets,
        size: size?,
        pace: pace.unwrap_or_default(),
        window,
        search: search?,
        timing: Timing {
            warm_up: warm_up?,
            duration: Duration::ZERO,
            timeout: timeout?,
        },
        cpus,
    };
    load.timing.duration = load.expected() * 2 + load.search.unwrap_or_default() + MIN_STREAM;
    Some(load)
}

/// What every load has of time; the window is `duration`.
fn timing(keys: &RawLoadKeys, duration: Option<Duration>, table: &mut TableCheck<'_>) -> Option<Timing> {
    let warm_up = table.or(
        &keys.warm_up,
        Duration::from_secs(2),
        value::within("a warm-up", Duration::ZERO..=HOUR, "2s"),
    );
    let timeout = table.or(
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
fn duration(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<Duration> {
    table.required(&keys.duration, "duration = \"10s\"", window())
}

/// A measured window.
fn window() -> impl Fn(&Duration) -> Result<Duration, Fault> {
    value::within("a measurement window", Duration::from_millis(100)..=24 * HOUR, "10s")
}

/// The CPUs of the generator's threads; none: not pinned.
fn cpus(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<Vec<u32>> {
    let set = table.optional(&keys.cpus, value::any)?;
    Some(set.map_or_else(Vec::new, |set| set.cpus().to_vec()))
}
