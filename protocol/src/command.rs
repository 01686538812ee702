//! Commands: messages of a controller to a runner or loader.

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::load::{Prepare, Start};
use crate::spec::{BrokerSpec, Deadlines, PlatformSpec, Resources, Sampling, SeedSpec, ServiceSpec};

/// A command. On the wire `{"RUN": {...}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Command {
    /// Report host facts and probe these platforms; answered by FACTS, by a loader with LOADER.
    Describe(Describe),
    /// Answered immediately by PONG; used to estimate the clock offset and to check that the runner is alive.
    Ping(Ping),
    /// Deploy and sample; answered by ACCEPTED or REFUSED, then READY or FAILED. Repeated with the same attempt id if no reply arrives.
    Run(Box<Run>),
    /// For loaders: prepare a part of a load; answered by PREPARED, REFUSED or FAILED. Repeated if no reply arrives.
    Prepare(Box<Prepare>),
    /// For loaders: begin at this time; answered by PROGRESS. Repeated if no reply arrives.
    Start(Start),
    /// Renew the lease of the running attempt; not answered.
    Renew(Renew),
    /// The measurement window of the attempt begins or ends now: read all counters immediately. Not answered, and optional.
    Edge(Edge),
    /// End the attempt in any state; answered by SUMMARY, or by FAILED if it never became READY.
    Stop(Stop),
}

impl Command {
    /// Its name on the wire and in logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Describe {
    /// The platforms of the experiment.
    pub platforms: Vec<PlatformSpec>,
    /// Its described services: whether each can run on each platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSpec>,
}

/// The body of PING: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {}

/// The body of RUN: one attempt at one trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The trial, for logs and names; the envelope's attempt id is the identity.
    pub trial: TrialRef,
    /// The platform that the services run on.
    pub platform: PlatformSpec,
    /// The services in start order. Consecutive services at the same place start together; the next ones start after their first replies.
    pub services: Vec<ServiceSpec>,
    /// The services' own Kafka broker, if the runner has to start one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<BrokerSpec>,
    /// How the services are seeded with data before READY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<SeedSpec>,
    /// Resource limits of each service.
    pub resources: Resources,
    /// Sampling of resource usage.
    pub sampling: Sampling,
    /// Deadlines of the phases.
    pub deadlines: Deadlines,
}

/// The position of an attempt in the experiment.
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

/// The body of RENEW: nothing; the envelope names the attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {}

/// The body of EDGE: nothing; the envelope names the attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {}

/// The body of STOP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The reason, for the runner's log.
    pub reason: StopReason,
}

/// Why a trial is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// The load has finished.
    Finished,
    /// Cancelled by the user or by the controller's shutdown.
    Cancelled,
    /// A phase exceeded its deadline.
    Deadline,
    /// The load failed.
    LoadFailed,
}
