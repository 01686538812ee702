//! The load that was ordered, as the results keep it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Arrivals, LoadKind, Think};

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
}

/// What decides when a request is due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaceOrder {
    /// Open loop at a constant rate.
    Rate(RateOrder),
    /// Closed loop of users.
    Users(UsersOrder),
    /// Closed loop as fast as so many connections go.
    Max(MaxOrder),
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

impl LoadOrder {
    /// What of a load the results depend on.
    #[must_use]
    pub fn of(kind: &LoadKind) -> Self {
        let (pace, timing, keep_alive) = match kind {
            LoadKind::Rate(rate) => {
                let pace = PaceOrder::Rate(RateOrder {
                    rate_per_s: rate.rate_per_s,
                    uniform: rate.arrivals == Arrivals::Uniform,
                });
                (pace, &rate.timing, rate.keep_alive)
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
        };
        Self {
            pace,
            warm_up_ns: ns(timing.warm_up),
            duration_ns: ns(timing.duration),
            timeout_ns: ns(timing.timeout),
            keep_alive,
        }
    }

    /// How many requests are due in the window, where the order says so exactly.
    #[must_use]
    pub fn due(&self) -> Option<f64> {
        match self.pace {
            PaceOrder::Rate(rate) if rate.uniform => Some(rate.rate_per_s * self.duration_ns as f64 / 1e9),
            PaceOrder::Rate(_) | PaceOrder::Users(_) | PaceOrder::Max(_) => None,
        }
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
