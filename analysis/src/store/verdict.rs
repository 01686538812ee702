//! The verdict of the audit.

use serde::{Deserialize, Serialize};

/// Whether an attempt counts. Ordered by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// No rule objected.
    #[default]
    Valid,
    /// A rule casts doubt on a figure; the trial counts and the report flags it.
    Suspect,
    /// The attempt does not count, and the trial is tried again.
    Invalid,
}

/// The verdict on an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The most severe validity of the reasons; valid if there are none.
    pub validity: Validity,
    /// The reasons, most severe first.
    pub reasons: Vec<Reason>,
    /// Rules that do not apply, since the program that generated the load does not report what they need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applicable: Vec<Rule>,
}

/// A violation of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// Its severity.
    pub validity: Validity,
    /// What was found, and the limit.
    pub text: String,
}

/// The rules of the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The attempt ran to completion.
    Completed,
    /// Requests recorded = scheduled = rate x duration.
    RequestCount,
    /// Few requests failed.
    Errors,
    /// Every reply had the expected body.
    Body,
    /// Concurrency = throughput x service time.
    LittlesLaw,
    /// The load generator kept its schedule.
    GeneratorLag,
    /// The server was the limit, not the load generator.
    GeneratorLimit,
    /// The services did what they accepted.
    #[serde(rename = "truth")]
    Readback,
    /// Every sample arrived.
    Samples,
    /// The sampler missed few ticks.
    MissedTicks,
    /// The hypervisor below took little CPU time.
    Steal,
    /// The services ended normally.
    ServiceEnd,
    /// Teardown left nothing behind.
    Leftovers,
    /// The offset between the clocks is known precisely enough.
    Clock,
    /// The kernel log reports no trouble.
    KernelLog,
    /// The host was within the limits of `[band]` before the trial.
    #[serde(rename = "band")]
    Settle,
}

impl Rule {
    /// The rule's subject, for reports.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Completed => "incomplete",
            Self::RequestCount => "request count",
            Self::Errors => "failed requests",
            Self::Body => "wrong bodies",
            Self::LittlesLaw => "Little's law",
            Self::GeneratorLag => "load generator lag",
            Self::GeneratorLimit => "load generator limit",
            Self::Readback => "readback",
            Self::Samples => "missing samples",
            Self::MissedTicks => "missed sampling ticks",
            Self::Steal => "steal",
            Self::ServiceEnd => "service exit",
            Self::Leftovers => "leftovers",
            Self::Clock => "clock offset",
            Self::KernelLog => "kernel log",
            Self::Settle => "host outside [band]",
        }
    }
}

impl Verdict {
    /// The verdict for these reasons.
    #[must_use]
    pub fn from_reasons(mut reasons: Vec<Reason>) -> Self {
        reasons.sort_by_key(|r| std::cmp::Reverse(r.validity));
        Self {
            validity: reasons.first().map_or(Validity::Valid, |r| r.validity),
            reasons,
            not_applicable: Vec::new(),
        }
    }
}
