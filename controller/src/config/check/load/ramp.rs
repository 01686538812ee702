//! `kind = "ramp"`.

use std::time::Duration;

use super::super::at::At;
use super::super::value;
use super::rate::{arrivals, rate};
use super::{HOUR, cpus, duration, timing};
use crate::config::problem::Fault;
use crate::config::raw::RawLoadKeys;
use protocol::load::{Bounds, Limit};
use protocol::load::{RampLoad, Timing};

/// The most steps of a search.
const MOST_STEPS: u32 = 1000;

pub(super) fn check(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<RampLoad> {
    let bounds = bounds(keys, at);
    let limit = limit(keys, at);
    let duration = duration(keys, at);
    let timing = timing(keys, duration, at);
    let arrivals = arrivals(keys, at);
    let keep_alive = at.or(&keys.keep_alive, false, value::any);
    let cpus = cpus(keys, at);
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

fn bounds(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<Bounds> {
    let from = at.required(&keys.from, "from = 500", rate);
    let to = at.required(&keys.to, "to = 10000", rate);
    let step = at.required(&keys.step, "step = 500", rate);
    let resolution = at.or(&keys.resolution, 0.05, percent("a resolution", 0.1..=50.0));
    let repeats = at.or(&keys.repeats, 3, value::whole("a number of repeats", 0..=100, 3));
    let bounds = Bounds {
        from: from?,
        to: to?,
        step: step?,
        resolution: resolution?,
        repeats: repeats?,
    };
    if bounds.from > bounds.to {
        at.error(&keys.to, Fault::new("it is below `from`", "write a rate above it"));
        return None;
    }
    if (bounds.to - bounds.from) / bounds.step > f64::from(MOST_STEPS) {
        let what = format!("from `from` to `to` it makes more than {MOST_STEPS} steps");
        at.error(&keys.step, Fault::new(what, "write a larger step"));
        return None;
    }
    Some(bounds)
}

fn limit(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<Limit> {
    let errors = at.or(&keys.max_errors, 0.01, percent("a share of failures", 0.0..=100.0));
    let response = at.optional(
        &keys.max_response,
        value::within("a response time", Duration::from_micros(1)..=HOUR, "50ms"),
    );
    let quantile = at.or(&keys.percentile, 0.99, percent("a percentile", 1.0..=100.0));
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
