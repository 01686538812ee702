//! The load that was ordered, as the results keep it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Arrivals, Load, LoadKind, Speech, Think};
use crate::load::Wait;

/// The load that was ordered: what of it the results depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadOrder {
    /// What decides when a request is due.
    pub pace: PaceOrder,
    /// Before the measured window, ns.
    pub warm_up_ns: u64,
    /// The measured window, ns; the longest it may be where it ends with the users' lists.
    pub duration_ns: u64,
    /// After which a request has failed, ns.
    pub timeout_ns: u64,
    /// Whether connections stay open.
    pub keep_alive: bool,
    /// Whether the generator's threads slept while there was nothing to do.
    #[serde(default)]
    pub wait: Wait,
}

/// What decides when a request is due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaceOrder {
    /// Open loop at a constant rate.
    Rate(RateOrder),
    /// Open loops one after another, in search of the highest rate that is sustained.
    Ramp(RampOrder),
    /// Closed loop of users.
    Users(UsersOrder),
    /// Closed loop as fast as so many connections go.
    Max(MaxOrder),
    /// The real httperf.
    Httperf(HttperfOrder),
    /// The real Apache JMeter.
    Jmeter(JmeterOrder),
    /// Nothing is sent.
    None(NoneOrder),
    /// A stream of packets.
    Udp(UdpOrder),
}

/// A stream of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpOrder {
    /// How many are measured.
    pub packets: u64,
    /// The length of each, bytes.
    pub size: u32,
    /// The distance of two packets, ns; 0: as fast as the window lets them.
    pub pace_ns: u64,
    /// Packets under way at most; `None`: an open loop.
    pub window: Option<u32>,
    /// How long the fastest pace without loss is looked for, ns; `None`: not at all.
    pub search_ns: Option<u64>,
}

/// Open loop at a constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateOrder {
    /// Requests a second.
    pub rate_per_s: f64,
    /// `true`: equal distances; `false`: random ones, so that the count of a window varies.
    pub uniform: bool,
}

/// A search for the highest rate that is sustained. The window of the results is the last one, at the rate that was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RampOrder {
    /// The first rate, requests a second.
    pub from_per_s: f64,
    /// The last one.
    pub to_per_s: f64,
    /// The distance of two steps.
    pub step_per_s: f64,
    /// The share of requests that may fail.
    pub max_errors: f64,
    /// The response time that may not be exceeded, ns; `None`: any.
    pub max_response_ns: Option<u64>,
    /// At this quantile.
    pub quantile: f64,
    /// How narrow the bracket must be, as a share of its upper end.
    pub resolution: f64,
    /// How often both of its ends were to be tried again.
    pub repeats: u32,
    /// `true`: equal distances of requests; `false`: random ones.
    pub uniform: bool,
}

/// Closed loop of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersOrder {
    /// How many.
    pub users: u32,
    /// The pause between a reply and the next call, ns; its mean if it is random.
    pub think_ns: u64,
    /// Whether the pause is exponentially distributed.
    pub exponential: bool,
    /// The calls of each user; `None`: as many as fit into the window.
    pub requests: Option<u32>,
}

/// Closed loop as fast as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxOrder {
    /// Connections.
    pub connections: u32,
}

/// The real httperf: open loop by connection rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttperfOrder {
    /// Connections a second.
    pub rate_per_s: f64,
    /// Requests on each connection.
    pub calls: u32,
}

/// The real Apache JMeter: closed loop of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JmeterOrder {
    /// Threads.
    pub users: u32,
    /// The pause of a thread after each reply, ns.
    pub think_ns: u64,
}

/// Nothing is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoneOrder {}

impl LoadOrder {
    /// What of a load the results depend on.
    #[must_use]
    pub fn of(load: &Load) -> Self {
        let (pace, timing, keep_alive) = match &load.kind {
            LoadKind::Rate(rate) => {
                let pace = PaceOrder::Rate(RateOrder {
                    rate_per_s: rate.rate_per_s,
                    uniform: rate.arrivals == Arrivals::Uniform,
                });
                (pace, &rate.timing, rate.keep_alive)
            }
            LoadKind::Ramp(ramp) => {
                let pace = PaceOrder::Ramp(RampOrder {
                    from_per_s: ramp.bounds.from,
                    to_per_s: ramp.bounds.to,
                    step_per_s: ramp.bounds.step,
                    max_errors: ramp.limit.errors,
                    max_response_ns: ramp.limit.response.map(ns),
                    quantile: ramp.limit.quantile,
                    resolution: ramp.bounds.resolution,
                    repeats: ramp.bounds.repeats,
                    uniform: ramp.arrivals == Arrivals::Uniform,
                });
                (pace, &ramp.step, ramp.keep_alive)
            }
            LoadKind::Users(users) => {
                let pace = PaceOrder::Users(UsersOrder {
                    users: users.users,
                    think_ns: ns(users.think.mean()),
                    exponential: matches!(users.think, Think::Exponential(_)),
                    requests: users.requests.map(|list| list.each),
                });
                (pace, &users.timing, users.keep_alive)
            }
            LoadKind::Max(max) => {
                let pace = PaceOrder::Max(MaxOrder {
                    connections: max.connections,
                });
                (pace, &max.timing, max.keep_alive)
            }
            LoadKind::Httperf(load) => {
                let pace = PaceOrder::Httperf(HttperfOrder {
                    rate_per_s: load.rate_per_s,
                    calls: load.calls,
                });
                (pace, &load.timing, load.calls > 1)
            }
            LoadKind::Jmeter(load) => {
                let pace = PaceOrder::Jmeter(JmeterOrder {
                    users: load.users,
                    think_ns: ns(load.think),
                });
                (pace, &load.timing, load.keep_alive)
            }
            LoadKind::None(none) => (PaceOrder::None(NoneOrder {}), &none.timing, false),
            LoadKind::Udp(udp) => {
                let pace = PaceOrder::Udp(UdpOrder {
                    packets: udp.packets,
                    size: udp.size,
                    pace_ns: ns(udp.pace),
                    window: udp.window,
                    search_ns: udp.search.map(ns),
                });
                (pace, &udp.timing, false)
            }
        };
        Self {
            pace,
            warm_up_ns: ns(timing.warm_up),
            duration_ns: ns(timing.duration),
            timeout_ns: ns(timing.timeout),
            keep_alive,
            wait: load.wait,
        }
    }

    /// Whether replies decide when the next request is due.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match self.pace {
            PaceOrder::Users(_) | PaceOrder::Max(_) | PaceOrder::Jmeter(_) => true,
            PaceOrder::Udp(udp) => udp.window.is_some(),
            _ => false,
        }
    }

    /// Whether it can be fired at a workload that speaks so; no load goes with all.
    #[must_use]
    pub fn goes_with(&self, speech: Speech) -> bool {
        match self.pace {
            PaceOrder::None(_) => true,
            PaceOrder::Udp(_) => speech == Speech::Udp,
            _ => speech == Speech::Http,
        }
    }

    /// How many requests are due in the window, where the order says so exactly.
    #[must_use]
    pub fn due(&self) -> Option<f64> {
        match self.pace {
            PaceOrder::Rate(rate) if rate.uniform => Some(rate.rate_per_s * self.duration_ns as f64 / 1e9),
            PaceOrder::None(_) => Some(0.0),
            PaceOrder::Udp(udp) => Some(udp.packets as f64),
            _ => None,
        }
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
