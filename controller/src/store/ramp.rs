//! What a search for the highest rate found.

use crate::config::counted;
use serde::{Deserialize, Serialize};

use crate::load::{Knee, Ramp, Step, Sustained};

/// What a search for the highest rate found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RampRecord {
    /// Every rate that was tried, in order.
    pub steps: Vec<StepRecord>,
    /// The knee; `None`: not even the first rate was sustained.
    pub knee: Option<KneeRecord>,
}

/// A rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// Requests a second.
    pub rate_per_s: f64,
    /// Requests that were due.
    pub due: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Response time at the quantile of the order, ns.
    pub response_ns: u64,
    /// Lag of the generator at the same quantile, ns.
    pub lag_ns: u64,
    /// `sustained`, or what was not: `errors`, `response time`, or `generator` where its own lag made it.
    pub verdict: String,
}

/// The highest rate that was sustained, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KneeRecord {
    /// The highest rate that was sustained, requests a second.
    pub rate_per_s: f64,
    /// The lowest one above it that was not; `None`: the last rate of the search was sustained, so the knee lies above it.
    pub above_per_s: Option<f64>,
    /// How often each of the two was tried again.
    pub repeats: u32,
    /// How often the first was sustained then.
    pub held: u32,
    /// How often the second was not.
    pub failed: u32,
    /// Whether it is the generator's: what was not sustained above it failed by the generator's own lag.
    pub of_generator: bool,
}

impl RampRecord {
    /// The record of what the engine found.
    #[must_use]
    pub fn of(ramp: &Ramp) -> Self {
        let above = ramp.knee.and_then(|knee| knee.high);
        let own = |step: &&Step| step.verdict == Sustained::Generator && Some(step.rate_per_s) == above;
        let of_generator = ramp.steps.iter().any(|step| own(&step));
        Self {
            steps: ramp.steps.iter().map(StepRecord::of).collect(),
            knee: ramp.knee.map(|knee| KneeRecord::of(&knee, of_generator)),
        }
    }
}

impl StepRecord {
    fn of(step: &Step) -> Self {
        Self {
            rate_per_s: step.rate_per_s,
            due: step.due,
            failed: step.failed,
            response_ns: step.response_ns,
            lag_ns: step.lag_ns,
            verdict: step.verdict.word().to_owned(),
        }
    }
}

impl KneeRecord {
    fn of(knee: &Knee, of_generator: bool) -> Self {
        Self {
            rate_per_s: knee.low,
            above_per_s: knee.high,
            repeats: knee.repeats,
            held: knee.held,
            failed: knee.failed,
            of_generator,
        }
    }

    /// The knee in a phrase.
    #[must_use]
    pub fn phrase(&self) -> String {
        let Some(above) = self.above_per_s else {
            return format!(
                "at {} requests/s or above, the last rate of the search",
                self.rate_per_s
            );
        };
        let own = if self.of_generator {
            ", which is the generator's own limit"
        } else {
            ""
        };
        format!(
            "between {:.1} and {above:.1} requests/s{own} (of {} that tried both again the lower held in {}, the upper failed in {})",
            self.rate_per_s,
            counted(self.repeats as usize, "round"),
            self.held,
            self.failed
        )
    }
}
