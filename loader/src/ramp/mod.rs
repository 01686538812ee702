//! The search for the highest rate that a service sustains: open loops one after another, each at its own rate.
//!
//! Steps climb until one is not sustained, a bisection narrows the bracket, both of its ends are tried again, and a last window at the rate that was
//! found gives the figures. What was sent before that window is warm-up: it is kept, and counts nowhere.

mod search;

use std::time::Instant;

use protocol::load::{Bounds, Limit};
use serde::{Deserialize, Serialize};

pub use search::{Knee, Search};

use super::Engine;
use super::control::Control;
use super::error::{ErrorKind, LoadError};
use super::log::RequestLog;
use super::outcome::Outcome;
use super::plan::RatePlan;
use super::rate::Rate;
use super::tally::Counts;
use super::target::Target;

/// A search for the highest rate.
#[derive(Debug, Clone, PartialEq)]
pub struct RampPlan {
    /// The rates.
    pub bounds: Bounds,
    /// When a rate counts as sustained.
    pub limit: Limit,
    /// Everything of a step but its rate; warm-up and window are those of each step and of the last window.
    pub step: RatePlan,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Ramp {
    /// Every rate that was tried, in order.
    pub steps: Vec<Step>,
    /// The knee; `None`: not even the first rate was sustained.
    pub knee: Option<Knee>,
}

/// A rate that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Requests a second.
    pub rate_per_s: f64,
    /// Requests that were due.
    pub due: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Response time at the quantile of the limit, ns.
    pub response_ns: u64,
    /// Lag of the generator at the same quantile, ns.
    pub lag_ns: u64,
    /// What came of it.
    pub verdict: Sustained,
}

/// Whether a rate was sustained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sustained {
    /// It was.
    #[serde(rename = "sustained")]
    Yes,
    /// Too many requests failed.
    Errors,
    /// The response time was too long.
    #[serde(rename = "response time")]
    Response,
    /// It was not, and the generator's own lag makes most of the response time: the knee is the generator's.
    Generator,
}

impl Sustained {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Yes => "sustained",
            Self::Errors => "errors",
            Self::Response => "response time",
            Self::Generator => "generator",
        }
    }
}

/// Holds a step against the limit.
fn judge(limit: &Limit, rate_per_s: f64, outcome: &Outcome) -> Step {
    let counts = &outcome.counts;
    let at = |histogram: &hdrhistogram::Histogram<u64>| histogram.value_at_quantile(limit.quantile);
    let (response_ns, lag_ns) = (at(&outcome.histograms.response_all), at(&outcome.histograms.lag));
    let too_long = limit
        .response
        .is_some_and(|longest| u128::from(response_ns) > longest.as_nanos());
    let too_many = counts.failed() as f64 > limit.errors * counts.due as f64;
    let own = counts
        .errors()
        .any(|(kind, _)| kind.is_own_limit() || kind == ErrorKind::NotSent);
    let verdict = match (too_many, too_long) {
        (false, false) => Sustained::Yes,
        _ if own || lag_ns > response_ns / 2 => Sustained::Generator,
        (true, _) => Sustained::Errors,
        (false, true) => Sustained::Response,
    };
    Step {
        rate_per_s,
        due: counts.due,
        failed: counts.failed(),
        response_ns,
        lag_ns,
        verdict,
    }
}

/// The engine `ramp`.
#[derive(Debug, Clone)]
pub struct Ramping {
    plan: RampPlan,
    target: Target,
}

impl Ramping {
    /// An engine for a plan that makes sense.
    ///
    /// # Errors
    /// What is wrong with the plan.
    pub fn new(plan: RampPlan, target: Target) -> Result<Self, LoadError> {
        let Bounds {
            from,
            to,
            step,
            resolution,
            ..
        } = plan.bounds;
        for rate in [from, to, step] {
            plan.at(rate).check()?;
        }
        if !(from <= to && resolution > 0.0 && resolution < 1.0) {
            return Err(LoadError::Ramp);
        }
        Ok(Self { plan, target })
    }

    fn run_at(&self, rate: f64, control: &Control) -> Result<Outcome, LoadError> {
        Rate::new(self.plan.at(rate), self.target.clone())?.run(control)
    }
}

impl RampPlan {
    fn at(&self, rate_per_s: f64) -> RatePlan {
        RatePlan {
            rate_per_s,
            ..self.step.clone()
        }
    }
}

impl Engine for Ramping {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let (mut search, mut steps, mut before) = (Search::new(self.plan.bounds), Vec::new(), Vec::new());
        while let Some(rate) = search.next().filter(|_| !control.is_cancelled()) {
            let outcome = self.run_at(rate, control)?;
            let step = judge(&self.plan.limit, rate, &outcome);
            search.answer(step.verdict == Sustained::Yes);
            steps.push(step);
            before.push(Before::of(outcome));
        }
        let knee = search.knee();
        let rate = knee.map_or(self.plan.bounds.from, |knee| knee.low);
        let last = self.run_at(rate, control)?;
        Ok(Outcome {
            ramp: Some(Ramp { steps, knee }),
            ..last.after(before)
        })
    }
}

/// What is kept of a step besides its verdict.
#[derive(Debug)]
struct Before {
    requests: RequestLog,
    counts: Counts,
    started: Instant,
    started_unix_ms: u64,
}

impl Before {
    fn of(outcome: Outcome) -> Self {
        let mut counts = outcome.warm_up;
        counts.add(&outcome.counts);
        Self {
            requests: outcome.requests,
            counts,
            started: outcome.started,
            started_unix_ms: outcome.started_unix_ms,
        }
    }
}

impl Outcome {
    /// This outcome as the end of a longer run: what was sent before is its warm-up.
    fn after(self, before: Vec<Before>) -> Self {
        let Some(first) = before.first() else { return self };
        let (started, started_unix_ms) = (first.started, first.started_unix_ms);
        let shift = |at: Instant| {
            let passed = at.saturating_duration_since(started);
            u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
        };
        let mut warm_up = self.warm_up.clone();
        let mut requests = RequestLog::default();
        for step in before {
            warm_up.add(&step.counts);
            requests.append(step.requests, shift(step.started), true);
        }
        let own = shift(self.started);
        requests.append(self.requests, own, false);
        Self {
            requests,
            warm_up,
            started,
            started_unix_ms,
            window: self.window.start + own..self.window.end + own,
            ..self
        }
    }
}
