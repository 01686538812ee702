//! The search for the highest rate that a service sustains, by successive open loops.
//!
//! The rate climbs until it is not sustained, a bisection narrows the bracket, and both of its ends are measured again. A final measurement at the rate
//! that was found provides the results; all requests before it are warm-up, which is stored but excluded from every figure.

mod search;

use std::time::Instant;

use protocol::load::{Bounds, Limit};
use serde::{Deserialize, Serialize};

pub use search::{Knee, KneeSearch};

use super::Engine;
use super::calls::Calls;
use super::clock::nanos;
use super::control::Control;
use super::error::{ErrorKind, LoadError};
use super::log::RequestLog;
use super::outcome::Outcome;
use super::rate::{Rate, RatePlan};
use super::tally::Counts;
use super::target::Target;

/// The plan of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct RampPlan {
    /// The range of rates.
    pub bounds: Bounds,
    /// The criterion for a sustained rate.
    pub limit: Limit,
    /// The plan of a step, except for its rate; also that of the final measurement.
    pub step: RatePlan,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Ramp {
    /// All steps, in order.
    pub steps: Vec<Step>,
    /// The knee; `None`: the first rate was not sustained.
    pub knee: Option<Knee>,
}

/// A step at one rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Requests per second.
    pub rate_per_s: f64,
    /// Requests scheduled.
    pub due: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Response time at the quantile of the limit, ns.
    pub response_ns: u64,
    /// Lag of the generator at the same quantile, ns.
    pub lag_ns: u64,
    /// Its verdict.
    pub verdict: StepVerdict,
}

/// Whether a rate was sustained, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepVerdict {
    /// It was sustained.
    Sustained,
    /// Too many requests failed.
    Errors,
    /// The response time was too long.
    #[serde(rename = "response time")]
    ResponseTime,
    /// The load generator was the bottleneck: its lag was most of the response time, or requests failed because of its limits.
    Generator,
}

impl StepVerdict {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sustained => "sustained",
            Self::Errors => "errors",
            Self::ResponseTime => "response time",
            Self::Generator => "generator",
        }
    }
}

/// Applies the criterion to a step.
fn evaluate(limit: &Limit, rate_per_s: f64, outcome: &Outcome) -> Step {
    let counts = &outcome.counts;
    let at = |histogram: &hdrhistogram::Histogram<u64>| histogram.value_at_quantile(limit.quantile);
    let (response_ns, lag_ns) = (at(&outcome.histograms.response_all), at(&outcome.histograms.lag));
    let too_long = limit
        .response
        .is_some_and(|longest| u128::from(response_ns) > longest.as_nanos());
    let too_many = counts.failed() as f64 > limit.errors * counts.due as f64;
    let own = counts
        .errors()
        .any(|(kind, _)| kind.is_local() || kind == ErrorKind::NotSent);
    let verdict = match (too_many, too_long) {
        (false, false) => StepVerdict::Sustained,
        _ if own || lag_ns > response_ns / 2 => StepVerdict::Generator,
        (true, _) => StepVerdict::Errors,
        (false, true) => StepVerdict::ResponseTime,
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
pub struct RampSearch {
    plan: RampPlan,
    calls: Calls,
}

impl RampSearch {
    /// Checks the plan and builds the engine for a plain GET.
    ///
    /// # Errors
    /// Problems of the plan or the target.
    pub fn new(plan: RampPlan, target: &Target) -> Result<Self, LoadError> {
        let calls = Calls::get(target, plan.step.keeps_alive())?;
        Self::of_calls(plan, calls)
    }

    /// Checks the plan and builds the engine for these calls.
    ///
    /// # Errors
    /// Problems of the plan.
    pub fn of_calls(plan: RampPlan, calls: Calls) -> Result<Self, LoadError> {
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
        Ok(Self { plan, calls })
    }

    fn run_at(&self, rate: f64, control: &Control) -> Result<Outcome, LoadError> {
        Rate::of_calls(self.plan.at(rate), self.calls.clone())?.run(control)
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

impl Engine for RampSearch {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let (mut search, mut steps, mut earlier) = (KneeSearch::new(self.plan.bounds), Vec::new(), Vec::new());
        while let Some(rate) = search.next().filter(|_| !control.is_cancelled()) {
            let outcome = self.run_at(rate, control)?;
            let step = evaluate(&self.plan.limit, rate, &outcome);
            search.record(step.verdict == StepVerdict::Sustained);
            steps.push(step);
            earlier.push(EarlierStep::of(outcome));
        }
        let knee = search.knee();
        let rate = knee.map_or(self.plan.bounds.from, |knee| knee.low);
        let last = self.run_at(rate, control)?;
        Ok(Outcome {
            ramp: Some(Ramp { steps, knee }),
            ..last.after(earlier)
        })
    }
}

/// What is kept of an earlier step in addition to its verdict.
#[derive(Debug)]
struct EarlierStep {
    requests: RequestLog,
    counts: Counts,
    started: Instant,
    started_unix_ms: u64,
}

impl EarlierStep {
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
    /// This outcome with the requests of the earlier steps as warm-up.
    fn after(self, earlier: Vec<EarlierStep>) -> Self {
        let Some(first) = earlier.first() else { return self };
        let (started, started_unix_ms) = (first.started, first.started_unix_ms);
        let shift = |at: Instant| nanos(at.saturating_duration_since(started));
        let mut warm_up = self.warm_up.clone();
        let mut requests = RequestLog::default();
        for step in earlier {
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
