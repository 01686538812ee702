//! Reading files of results format 2, which kept a load in a shape of its own.

use std::time::Duration;

use protocol::load::{
    Arrivals, Bounds, HttperfLoad, JmeterLoad, Limit, LoadKind, LoadSpec, MaxLoad, NoLoad, RampLoad, RateLoad, Think,
    Timing, UdpLoad, UserRequests, UsersLoad, Wait,
};
use serde::Deserialize;
use serde_json::Value;

/// The load that was ordered: what of it the results depend on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldLoad {
    /// What decides when a request is due.
    pace: OldPace,
    /// Before the measured window, ns.
    warm_up_ns: u64,
    /// The measured window, ns; the longest it may be where it ends with the users' lists.
    duration_ns: u64,
    /// After which a request has failed, ns.
    timeout_ns: u64,
    /// Whether connections stay open.
    keep_alive: bool,
    /// Whether the generator's threads slept while there was nothing to do.
    #[serde(default)]
    wait: Wait,
}

/// What decides when a request is due.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OldPace {
    /// Open loop at a constant rate.
    Rate(OldRate),
    /// Open loops one after another, in search of the highest rate that is sustained.
    Ramp(OldRamp),
    /// Closed loop of users.
    Users(OldUsers),
    /// Closed loop as fast as so many connections go.
    Max(OldMax),
    /// The real httperf.
    Httperf(OldHttperf),
    /// The real Apache JMeter.
    Jmeter(OldJmeter),
    /// Nothing is sent.
    None(OldNone),
    /// A stream of packets.
    Udp(OldUdp),
}

/// A stream of packets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldUdp {
    /// How many are measured.
    packets: u64,
    /// The length of each, bytes.
    size: u32,
    /// The distance of two packets, ns; 0: as fast as the window lets them.
    pace_ns: u64,
    /// Packets under way at most; `None`: an open loop.
    window: Option<u32>,
    /// How long the fastest pace without loss is looked for, ns; `None`: not at all.
    search_ns: Option<u64>,
}

/// Open loop at a constant rate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldRate {
    /// Requests a second.
    rate_per_s: f64,
    /// `true`: equal distances; `false`: random ones, so that the count of a window varies.
    uniform: bool,
}

/// A search for the highest rate that is sustained. The window of the results is the last one, at the rate that was found.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldRamp {
    /// The first rate, requests a second.
    from_per_s: f64,
    /// The last one.
    to_per_s: f64,
    /// The distance of two steps.
    step_per_s: f64,
    /// The share of requests that may fail.
    max_errors: f64,
    /// The response time that may not be exceeded, ns; `None`: any.
    max_response_ns: Option<u64>,
    /// At this quantile.
    quantile: f64,
    /// How narrow the bracket must be, as a share of its upper end.
    resolution: f64,
    /// How often both of its ends were to be tried again.
    repeats: u32,
    /// `true`: equal distances of requests; `false`: random ones.
    uniform: bool,
}

/// Closed loop of users.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldUsers {
    /// How many.
    users: u32,
    /// The pause between a reply and the next call, ns; its mean if it is random.
    think_ns: u64,
    /// Whether the pause is exponentially distributed.
    exponential: bool,
    /// The calls of each user; `None`: as many as fit into the window.
    requests: Option<u32>,
}

/// Closed loop as fast as it goes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldMax {
    /// Connections.
    connections: u32,
}

/// The real httperf: open loop by connection rate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldHttperf {
    /// Connections a second.
    rate_per_s: f64,
    /// Requests on each connection.
    calls: u32,
}

/// The real Apache JMeter: closed loop of threads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldJmeter {
    /// Threads.
    users: u32,
    /// The pause of a thread after each reply, ns.
    think_ns: u64,
}

/// Nothing is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldNone {}

impl OldLoad {
    /// The load in today's shape; what format 2 did not keep is empty: CPUs, the mix of users and their ramp-up.
    fn upgraded(self) -> LoadSpec {
        let ns = Duration::from_nanos;
        let timing = Timing {
            warm_up: ns(self.warm_up_ns),
            duration: ns(self.duration_ns),
            timeout: ns(self.timeout_ns),
        };
        let arrivals = |uniform| if uniform { Arrivals::Uniform } else { Arrivals::Poisson };
        let keep_alive = self.keep_alive;
        let cpus = Vec::new();
        let kind = match self.pace {
            OldPace::Rate(rate) => LoadKind::Rate(RateLoad {
                rate_per_s: rate.rate_per_s,
                timing,
                arrivals: arrivals(rate.uniform),
                keep_alive,
                cpus,
            }),
            OldPace::Ramp(ramp) => LoadKind::Ramp(RampLoad {
                bounds: Bounds {
                    from: ramp.from_per_s,
                    to: ramp.to_per_s,
                    step: ramp.step_per_s,
                    resolution: ramp.resolution,
                    repeats: ramp.repeats,
                },
                limit: Limit {
                    errors: ramp.max_errors,
                    response: ramp.max_response_ns.map(ns),
                    quantile: ramp.quantile,
                },
                step: timing,
                timing,
                arrivals: arrivals(ramp.uniform),
                keep_alive,
                cpus,
            }),
            OldPace::Users(users) => LoadKind::Users(UsersLoad {
                users: users.users,
                timing,
                requests: users.requests.map(|each| UserRequests { each, warm_up: 0 }),
                think: if users.exponential {
                    Think::Exponential(ns(users.think_ns))
                } else {
                    Think::Constant(ns(users.think_ns))
                },
                ramp_up: Duration::ZERO,
                keep_alive,
                mix: Vec::new(),
                cpus,
            }),
            OldPace::Max(max) => LoadKind::Max(MaxLoad {
                connections: max.connections,
                timing,
                keep_alive,
                cpus,
            }),
            OldPace::Httperf(load) => LoadKind::Httperf(HttperfLoad {
                rate_per_s: load.rate_per_s,
                timing,
                calls: load.calls,
                cpus,
            }),
            OldPace::Jmeter(load) => LoadKind::Jmeter(JmeterLoad {
                users: load.users,
                timing,
                think: ns(load.think_ns),
                keep_alive,
                cpus,
            }),
            OldPace::None(_) => LoadKind::None(NoLoad { timing }),
            OldPace::Udp(udp) => LoadKind::Udp(UdpLoad {
                packets: udp.packets,
                size: udp.size,
                pace: ns(udp.pace_ns),
                window: udp.window,
                search: udp.search_ns.map(ns),
                timing,
                cpus,
            }),
        };
        LoadSpec { kind, wait: self.wait }
    }
}

fn upgrade_load(value: &mut Value) -> serde_json::Result<()> {
    let old: OldLoad = serde_json::from_value(value.take())?;
    *value = serde_json::to_value(old.upgraded())?;
    Ok(())
}

/// Brings `trial.json` of format 2 into today's shape.
///
/// # Errors
/// A load that format 2 does not know.
pub(super) fn upgrade_trial(trial: &mut Value) -> serde_json::Result<()> {
    upgrade_load(&mut trial["load"])?;
    let deviations = trial.as_object_mut().and_then(|fields| fields.remove("deviations"));
    if let Some(ready) = trial["ready"].as_object_mut() {
        ready.insert(
            "deviations".to_owned(),
            deviations.unwrap_or_else(|| Value::Array(Vec::new())),
        );
    }
    Ok(())
}

/// Brings `manifest.json` of format 2 into today's shape.
///
/// # Errors
/// A load that format 2 does not know.
pub(super) fn upgrade_manifest(manifest: &mut Value) -> serde_json::Result<()> {
    let loads = manifest["experiment"]["loads"].as_array_mut();
    loads.into_iter().flatten().try_for_each(|load| {
        let order = load.as_object_mut().and_then(|fields| fields.remove("order"));
        load["spec"] = order.unwrap_or_default();
        upgrade_load(&mut load["spec"])
    })
}
