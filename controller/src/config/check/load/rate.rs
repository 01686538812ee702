//! `kind = "rate"`.

use super::super::at::At;
use super::super::value;
use super::{cpus, duration, timing};
use crate::config::problem::Fault;
use crate::config::raw::RawLoadKeys;
use protocol::load::{Arrivals, RateLoad};

/// The highest rate, requests a second: above what one generator on one machine can send.
const MAX_RATE: f64 = 1e6;

pub(super) fn check(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<RateLoad> {
    let rate_per_s = at.required(&keys.rate, "rate = 500", rate);
    let duration = duration(keys, at);
    let timing = timing(keys, duration, at);
    let arrivals = arrivals(keys, at);
    let keep_alive = at.or(&keys.keep_alive, false, value::any);
    let cpus = cpus(keys, at);
    if let (Some(rate), Some(duration)) = (rate_per_s, duration)
        && rate * duration.as_secs_f64() < 1.0
    {
        let what = "not one request would be sent in the measured window";
        at.error(&keys.rate, Fault::new(what, "raise the rate or the duration"));
    }
    Some(RateLoad {
        rate_per_s: rate_per_s?,
        timing: timing?,
        arrivals: arrivals?,
        keep_alive: keep_alive?,
        cpus: cpus?,
    })
}

/// When requests are due.
pub(super) fn arrivals(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<Arrivals> {
    let words = [("uniform", Arrivals::Uniform), ("poisson", Arrivals::Poisson)];
    at.or(&keys.arrivals, Arrivals::Uniform, value::choice(&words))
}

/// Requests a second.
pub(super) fn rate(&rate: &f64) -> Result<f64, Fault> {
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
