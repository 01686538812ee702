//! What a controller says to a runner, and to a loader, which is a runner that fires a part of a load.

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::load::{Prepare, Start};
use crate::spec::{Deadlines, PlatformSpec, Resources, Sampling, ServiceSpec};
use crate::surroundings::{BrokerSpec, SeedSpec};

/// A command. On the wire `{"RUN": {...}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Command {
    /// Say what host this is and prove the platforms named; answered by FACTS, of a loader by LOADER.
    Describe(Describe),
    /// Answered by PONG at once; estimates the offset between the two clocks and shows that the runner lives.
    Ping(Ping),
    /// Deploy and sample; answered by ACCEPTED or REFUSED, then READY or FAILED. Sent again with the same attempt when no answer comes.
    Run(Box<Run>),
    /// Of a loader: make everything ready for a part of a load; answered by PREPARED, REFUSED or FAILED. Sent again when no answer comes.
    Prepare(Box<Prepare>),
    /// Of a loader: begin at this instant; answered by PROGRESS. Sent again when no answer comes.
    Start(Start),
    /// Hold the lease of the running attempt; not answered.
    Renew(Renew),
    /// The measured window of the attempt begins or ends now: read all counters at once. Not answered, and nothing breaks without it.
    Edge(Edge),
    /// End the attempt, whatever its state; answered by SUMMARY, or FAILED where there is nothing to sum up.
    Stop(Stop),
}

impl Command {
    /// The word that stands for it on the wire and in logs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Describe(_) => "DESCRIBE",
            Self::Ping(_) => "PING",
            Self::Run(_) => "RUN",
            Self::Prepare(_) => "PREPARE",
            Self::Start(_) => "START",
            Self::Renew(_) => "RENEW",
            Self::Edge(_) => "EDGE",
            Self::Stop(_) => "STOP",
        }
    }
}

/// The body of DESCRIBE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Describe {
    /// The platforms that the experiment needs.
    pub platforms: Vec<PlatformSpec>,
}

/// The body of PING: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {}

/// The body of RUN: one attempt at one trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Which trial this is, for logs and names; the identity is the envelope's attempt.
    pub trial: TrialRef,
    /// What the services run on.
    pub platform: PlatformSpec,
    /// The services, in the order they are started. Those in a row at one place are started together, and the next after their first replies.
    pub services: Vec<ServiceSpec>,
    /// The broker that they talk through, if the runner is to start one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<BrokerSpec>,
    /// How they are filled before READY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<SeedSpec>,
    /// The limits that each gets.
    pub resources: Resources,
    /// How they are sampled.
    pub sampling: Sampling,
    /// How long each phase may take.
    pub deadlines: Deadlines,
}

/// Where an attempt stands in the experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRef {
    /// The experiment's name.
    pub experiment: Name,
    /// The cell, `platform.workload.load`.
    pub cell: String,
    /// The block, from 1.
    pub block: u32,
    /// The attempt within the trial, from 1.
    pub attempt: u32,
}

/// The body of RENEW: nothing, the envelope says which attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {}

/// The body of EDGE: nothing, the envelope says which attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {}

/// The body of STOP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Why, for the runner's log.
    pub reason: StopReason,
}

/// Why a trial is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// The load is over.
    Finished,
    /// The user or the controller's shutdown ends the trial early.
    Cancelled,
    /// A phase took too long.
    Deadline,
    /// The load could not be fired.
    LoadFailed,
}
