//! What a search for the highest rate found.

use crate::text::counted;
use serde::{Deserialize, Serialize};

use loader::{Knee, Ramp, Step, StepVerdict};

/// What a search for the highest rate found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RampRecord {
    /// Every rate that was tried, in order.
    pub steps: Vec<Step>,
    /// The knee; `None`: not even the first rate was sustained.
    pub knee: Option<KneeRecord>,
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
        let own = |step: &&Step| step.verdict == StepVerdict::Generator && Some(step.rate_per_s) == above;
        let of_generator = ramp.steps.iter().any(|step| own(&step));
        Self {
            steps: ramp.steps.clone(),
            knee: ramp.knee.map(|knee| KneeRecord::of(&knee, of_generator)),
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
