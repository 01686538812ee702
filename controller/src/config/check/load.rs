//! `[[load]]`.

use std::time::Duration;

use super::at::{At, Unique};
use super::value;
use crate::config::experiment::{Arrivals, Load, LoadKind, RateLoad};
use crate::config::problem::{Fault, Problem};
use crate::config::raw::{RawExperiment, RawLoad};
use crate::config::section::Section;

/// The highest rate, requests a second: above what one generator on one machine can send.
const MAX_RATE: f64 = 1e6;
const HOUR: Duration = Duration::from_secs(3600);

/// The kinds of load, by their word.
#[derive(Clone, Copy)]
enum Kind {
    Rate,
}

/// Checks every `[[load]]`; `None` has left a problem.
pub(super) fn check(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Vec<Load>> {
    if raw.loads.is_empty() {
        let section = Section {
            file: raw.file.clone(),
            label: "[[load]]".to_owned(),
            line: None,
        };
        let fault = Fault::new(
            "there is none, and at least one is needed",
            "add [[load]] and kind, name, rate and duration below it",
        );
        At::new(&section, problems).whole(fault);
        return None;
    }
    let mut taken = Unique::default();
    let checked: Vec<_> = raw.loads.iter().map(|raw| one(raw, &mut taken, problems)).collect();
    checked.into_iter().collect()
}

fn one(raw: &RawLoad, taken: &mut Unique, problems: &mut Vec<Problem>) -> Option<Load> {
    let mut at = At::new(&raw.section, problems);
    let kind = at.required(&raw.kind, "kind = \"rate\"", value::choice(&[("rate", Kind::Rate)]));
    let name = at.required(&raw.name, "name = \"rate-500\"", value::name);
    if let Some(name) = &name {
        taken.take(&mut at, &raw.name, name);
    }
    let kind = match kind? {
        Kind::Rate => rate_load(raw, &mut at).map(LoadKind::Rate),
    };
    Some(Load {
        name: name?,
        kind: kind?,
    })
}

fn rate_load(raw: &RawLoad, at: &mut At<'_>) -> Option<RateLoad> {
    let arrivals = [("uniform", Arrivals::Uniform), ("poisson", Arrivals::Poisson)];
    let ms = Duration::from_millis;
    let rate_per_s = at.required(&raw.rate, "rate = 500", rate);
    let duration = at.required(
        &raw.duration,
        "duration = \"10s\"",
        value::within("a measured window", ms(100)..=24 * HOUR, "10s"),
    );
    let warm_up = at.or(
        &raw.warm_up,
        Duration::from_secs(2),
        value::within("a warm-up", ms(0)..=HOUR, "2s"),
    );
    let timeout = at.or(
        &raw.timeout,
        Duration::from_secs(2),
        value::within("a time-out", ms(1)..=HOUR, "2s"),
    );
    let arrivals = at.or(&raw.arrivals, Arrivals::Uniform, value::choice(&arrivals));
    let keep_alive = at.or(&raw.keep_alive, false, value::any);
    let cpus = at.optional(&raw.cpus, value::cpus);
    if let (Some(rate), Some(duration)) = (rate_per_s, duration)
        && rate * duration.as_secs_f64() < 1.0
    {
        let what = "not one request would be sent in the measured window";
        at.error(&raw.rate, Fault::new(what, "raise the rate or the duration"));
    }
    Some(RateLoad {
        rate_per_s: rate_per_s?,
        warm_up: warm_up?,
        duration: duration?,
        timeout: timeout?,
        arrivals: arrivals?,
        keep_alive: keep_alive?,
        cpus: cpus?.map_or_else(Vec::new, |set| set.cpus().iter().map(|&cpu| cpu as usize).collect()),
    })
}

fn rate(&rate: &f64) -> Result<f64, Fault> {
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
