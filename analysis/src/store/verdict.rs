//! What an audit comes to.

use serde::{Deserialize, Serialize};

/// Whether an attempt counts. Ordered: the worst of several is the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// Nothing is wrong with it.
    #[default]
    Valid,
    /// It counts, and the report says what is odd.
    Suspect,
    /// It is kept, counts nowhere, and the trial is tried again.
    Invalid,
}

impl Validity {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Suspect => "suspect",
            Self::Invalid => "invalid",
        }
    }
}

/// The verdict on an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The worst of the reasons; valid without any.
    pub validity: Validity,
    /// What is wrong, worst first.
    pub reasons: Vec<Reason>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The rule that was broken.
    pub rule: Rule,
    /// How bad that is.
    pub validity: Validity,
    /// What was found and what would be right.
    pub text: String,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The attempt ran to its end.
    Completed,
    /// As many requests as rate times duration.
    RequestCount,
    /// Few requests failed.
    Errors,
    /// Every body was as expected.
    Body,
    /// Requests under way = rate x time spent.
    LittlesLaw,
    /// The generator kept its times.
    GeneratorLag,
    /// What was measured is the server, and not the generator's own limit.
    GeneratorLimit,
    /// What was accepted was done.
    Truth,
    /// Every sample arrived.
    Samples,
    /// The sampler kept its grid.
    MissedTicks,
    /// No other guest took the CPU.
    Steal,
    /// The services ended as they were asked to.
    ServiceEnd,
    /// Nothing was left behind.
    Leftovers,
    /// The two clocks are known well enough.
    Clock,
    /// The kernel had nothing to complain of.
    KernelLog,
    /// The host was in band before the trial.
    Band,
}

impl Rule {
    /// What the rule is about, for reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "not completed",
            Self::RequestCount => "number of requests",
            Self::Errors => "failed requests",
            Self::Body => "wrong replies",
            Self::LittlesLaw => "Little's law",
            Self::GeneratorLag => "generator lag",
            Self::GeneratorLimit => "the generator's own limit",
            Self::Truth => "broken promises",
            Self::Samples => "missing samples",
            Self::MissedTicks => "missed sampling ticks",
            Self::Steal => "CPU time stolen",
            Self::ServiceEnd => "end of a service",
            Self::Leftovers => "leftovers",
            Self::Clock => "clocks",
            Self::KernelLog => "the kernel's log",
            Self::Band => "host out of band",
        }
    }
}

impl Verdict {
    /// The verdict that follows from reasons.
    #[must_use]
    pub fn from_reasons(mut reasons: Vec<Reason>) -> Self {
        reasons.sort_by_key(|r| std::cmp::Reverse(r.validity));
        Self {
            validity: reasons.first().map_or(Validity::Valid, |r| r.validity),
            reasons,
        }
    }
}
