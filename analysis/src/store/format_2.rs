//! Reading files of results format 2, whose loads were serialised differently, and earlier ones of format 3, where users had their mix.

use std::time::Duration;

use protocol::load::{
    Arrivals, Bounds, HttpRequests, HttperfLoad, JmeterLoad, Limit, LoadKind, LoadSpec, MaxLoad, NoLoad, RampLoad,
    RateLoad, Think, Timing, UdpLoad, UserRequests, UsersLoad, Wait,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// A load of format 2.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadV2 {
    /// The kind of load.
    pace: PaceV2,
    /// Warm-up, ns.
    warm_up_ns: u64,
    /// Measurement window, ns; its upper bound if it ends with the users' requests.
    duration_ns: u64,
    /// Request timeout, ns.
    timeout_ns: u64,
    /// Whether connections are kept open.
    keep_alive: bool,
    /// How the generator's threads waited.
    #[serde(default)]
    wait: Wait,
}

/// The kind of load.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PaceV2 {
    /// Open loop at a constant rate.
    Rate(RateV2),
    /// Search for the highest sustained rate.
    Ramp(RampV2),
    /// Closed loop of users.
    Users(UsersV2),
    /// Closed loop of connections without think time.
    Max(MaxV2),
    /// httperf.
    Httperf(HttperfV2),
    /// Apache JMeter.
    Jmeter(JmeterV2),
    /// No load.
    None(NoneV2),
    /// A stream of packets.
    Udp(UdpV2),
}

/// A stream of packets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UdpV2 {
    /// Packets measured.
    packets: u64,
    /// Length of a packet, bytes.
    size: u32,
    /// Interval between two packets, ns; 0: limited by the window only.
    pace_ns: u64,
    /// Packets in flight at most; `None`: an open loop.
    window: Option<u32>,
    /// Duration of the search for the fastest loss-free pace, ns; `None`: no search.
    search_ns: Option<u64>,
}

/// Open loop at a constant rate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateV2 {
    /// Requests a second.
    rate_per_s: f64,
    /// `true`: evenly spaced; `false`: Poisson arrivals.
    uniform: bool,
}

/// Search for the highest sustained rate. The measurement window is the last one, at the rate found.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RampV2 {
    /// The first rate, requests per second.
    from_per_s: f64,
    /// The last rate.
    to_per_s: f64,
    /// The step.
    step_per_s: f64,
    /// Share of requests that may fail.
    max_errors: f64,
    /// Response time limit, ns; `None`: no limit.
    max_response_ns: Option<u64>,
    /// The quantile that the limit applies to.
    quantile: f64,
    /// Width of the final bracket, as a share of its upper end.
    resolution: f64,
    /// How often both ends are repeated.
    repeats: u32,
    /// `true`: evenly spaced; `false`: Poisson arrivals.
    uniform: bool,
}

/// Closed loop of users.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersV2 {
    /// Number of users.
    users: u32,
    /// Think time, ns; its mean if it is random.
    think_ns: u64,
    /// Whether the think time is exponentially distributed.
    exponential: bool,
    /// Requests of each user; `None`: as many as fit into the window.
    requests: Option<u32>,
}

/// Closed loop of connections without think time.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxV2 {
    /// Connections.
    connections: u32,
}

/// httperf: open loop by connection rate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttperfV2 {
    /// Connections per second.
    rate_per_s: f64,
    /// Requests per connection.
    calls: u32,
}

/// Apache JMeter: closed loop of threads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JmeterV2 {
    /// Threads.
    users: u32,
    /// Think time, ns.
    think_ns: u64,
}

/// No load.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoneV2 {}

impl LoadV2 {
    /// Converts to the current format; what format 2 did not store is empty: CPUs, the mix and ramp-up of users.
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
            PaceV2::Rate(rate) => LoadKind::Rate(RateLoad {
                rate_per_s: rate.rate_per_s,
                timing,
                arrivals: arrivals(rate.uniform),
                keep_alive,
                cpus,
            }),
            PaceV2::Ramp(ramp) => LoadKind::Ramp(RampLoad {
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
            PaceV2::Users(users) => LoadKind::Users(UsersLoad {
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
                cpus,
            }),
            PaceV2::Max(max) => LoadKind::Max(MaxLoad {
                connections: max.connections,
                timing,
                keep_alive,
                cpus,
            }),
            PaceV2::Httperf(load) => LoadKind::Httperf(HttperfLoad {
                rate_per_s: load.rate_per_s,
                timing,
                calls: load.calls,
                cpus,
            }),
            PaceV2::Jmeter(load) => LoadKind::Jmeter(JmeterLoad {
                users: load.users,
                timing,
                think: ns(load.think_ns),
                keep_alive,
                cpus,
            }),
            PaceV2::None(_) => LoadKind::None(NoLoad { timing }),
            PaceV2::Udp(udp) => LoadKind::Udp(UdpLoad {
                packets: udp.packets,
                size: udp.size,
                pace: ns(udp.pace_ns),
                window: udp.window,
                search: udp.search_ns.map(ns),
                timing,
                cpus,
            }),
        };
        LoadSpec {
            kind,
            wait: self.wait,
            keep_awake: false,
            http: HttpRequests::default(),
        }
    }
}

fn upgrade_load(value: &mut Value) -> serde_json::Result<()> {
    let old: LoadV2 = serde_json::from_value(value.take())?;
    *value = serde_json::to_value(old.upgraded())?;
    Ok(())
}

/// Moves the mix of users to the requests of the load, unless it is the default.
fn move_mix(load: &mut Value) {
    let users = load.pointer_mut("/kind/users").and_then(Value::as_object_mut);
    let mix = users.and_then(|users| users.remove("mix"));
    let is_default = |mix: &Value| mix.as_array().is_none_or(Vec::is_empty) || mix[0]["label"] == "";
    if let Some(mix) = mix.filter(|mix| !is_default(mix)) {
        load["http"] = json!({ "requests": mix });
    }
}

/// Converts `trial.json` of an earlier format to the current one.
///
/// # Errors
/// A load that format 2 does not define.
pub(super) fn upgrade_trial(trial: &mut Value) -> serde_json::Result<()> {
    if trial["format"] != 2 {
        trial.get_mut("load").into_iter().for_each(move_mix);
        return Ok(());
    }
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

/// Converts `manifest.json` of an earlier format to the current one.
///
/// # Errors
/// A load that format 2 does not define.
pub(super) fn upgrade_manifest(manifest: &mut Value) -> serde_json::Result<()> {
    let is_current = manifest["format"] != 2;
    let loads = manifest.pointer_mut("/experiment/loads").and_then(Value::as_array_mut);
    loads.into_iter().flatten().try_for_each(|load| {
        if is_current {
            load.get_mut("spec").into_iter().for_each(move_mix);
            return Ok(());
        }
        let order = load.as_object_mut().and_then(|fields| fields.remove("order"));
        load["spec"] = order.unwrap_or_default();
        upgrade_load(&mut load["spec"])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_of_users_becomes_the_requests_of_the_load() {
        let load = |mix: Value| {
            let timing = json!({"warm_up_ns": 0, "duration_ns": 1, "timeout_ns": 1});
            let users = json!({
                "users": 2, "timing": timing, "requests": null, "think": {"constant_ns": 0}, "ramp_up_ns": 0, "keep_alive": true, "mix": mix, "cpus": []
            });
            let mut load = json!({"kind": {"users": users}, "wait": "sleep"});
            move_mix(&mut load);
            serde_json::from_value::<LoadSpec>(load).unwrap().http
        };
        assert!(load(json!([{"path": "/", "label": "", "share": 1}])).is_plain());
        let http = load(json!([{"path": "/a", "label": "a", "share": 3}, {"path": "/b", "label": "b", "share": 1}]));
        let found: Vec<_> = http
            .requests
            .iter()
            .map(|r| (r.path.as_str(), r.label.as_str(), r.weight))
            .collect();
        assert_eq!(found, [("/a", "a", 3), ("/b", "b", 1)]);
    }
}
