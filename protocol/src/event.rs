//! What a runner says to the controller, and a loader, which is a runner that fires a part of a load.

use serde::{Deserialize, Serialize};

use crate::facts::HostFacts;
use crate::ids::Name;
use crate::load::{Chunk, Fired, MachineFacts, Prepared, Progress};
use crate::sample::Samples;
use crate::spec::{CpuSet, Emulation};
use crate::summary::{HostUse, Summary, Teardown};

/// An event. On the wire `{"READY": {...}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Event {
    /// The answer to DESCRIBE.
    Facts(Box<HostFacts>),
    /// The answer of a loader to DESCRIBE.
    Loader(Box<MachineFacts>),
    /// The answer to PING.
    Pong(Pong),
    /// The RUN is taken on.
    Accepted(Accepted),
    /// The command is not obeyed.
    Refused(Refused),
    /// Every service gave its first correct reply.
    Ready(Ready),
    /// Of a loader: everything waits for START.
    Prepared(Prepared),
    /// Of a loader: how far the load is.
    Progress(Progress),
    /// Of a loader: a piece of what it brings back, on the third topic.
    Chunk(Chunk),
    /// Of a loader: the load is over, and this came of it.
    Fired(Box<Fired>),
    /// A batch of samples, on the third topic.
    Samples(Samples),
    /// The end of an attempt that was READY, after its teardown.
    Summary(Summary),
    /// The end of an attempt that was not READY or broke afterwards, after its teardown.
    Failed(Failed),
}

impl Event {
    /// The word that stands for it on the wire and in logs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Facts(_) => "FACTS",
            Self::Loader(_) => "LOADER",
            Self::Pong(_) => "PONG",
            Self::Accepted(_) => "ACCEPTED",
            Self::Refused(_) => "REFUSED",
            Self::Ready(_) => "READY",
            Self::Prepared(_) => "PREPARED",
            Self::Progress(_) => "PROGRESS",
            Self::Chunk(_) => "CHUNK",
            Self::Fired(_) => "FIRED",
            Self::Samples(_) => "SAMPLES",
            Self::Summary(_) => "SUMMARY",
            Self::Failed(_) => "FAILED",
        }
    }
}

/// The body of PONG.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pong {
    /// The runner's monotonic clock when it answered, ns since an arbitrary start of its own.
    pub clock_ns: u64,
}

/// The body of ACCEPTED: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {}

/// The body of REFUSED.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The reason as one of a few.
    pub reason: RefusedReason,
    /// The reason in words, with the remedy.
    pub why: String,
}

/// Why a command is not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedReason {
    /// Another attempt of the same controller is running.
    Busy,
    /// Another controller holds this runner.
    Held,
    /// A newer epoch of the same controller has spoken.
    Stale,
    /// The platform's need is not met.
    Unmet,
    /// The order makes no sense (no service, two of one name, ...).
    Invalid,
}

/// The body of READY.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// The runner's monotonic clock at READY, on the same scale as [`Pong::clock_ns`]: the zero of all sample offsets.
    pub clock_ns: u64,
    /// Where the services answer, one for each that listens.
    pub endpoints: Vec<Endpoint>,
    /// How long the start took, one a service.
    pub startup: Vec<StartUp>,
    /// Making the image, ns; not part of the start.
    pub prepare_ns: u64,
    /// Filling the services, ns; not part of the start either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_ns: Option<u64>,
    /// The whole host while nothing of the trial ran; `None`: not asked for, or it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleWindow>,
    /// Where each service really may run, one a service, as the kernel says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement: Vec<Placement>,
    /// What of the fairness contract the platform could not keep, in words; empty: all kept.
    pub deviations: Vec<String>,
    /// `Some`: guests were emulated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulation: Option<Emulation>,
}

/// Where the load goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The service.
    pub service: Name,
    /// Its address as the controller can reach it.
    pub address: std::net::SocketAddr,
}

/// The whole host between two looks just before the services were started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdleWindow {
    /// From the first look to the second, ns.
    pub length_ns: u64,
    /// What the host did in between.
    pub host: HostUse,
}

/// Where a service may run after its start, the union over its processes (`Cpus_allowed_list` and `Mems_allowed_list` of `/proc/PID/status`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The service.
    pub service: Name,
    /// The CPUs; `None`: not readable.
    pub cpus: Option<CpuSet>,
    /// The NUMA nodes; `None`: not readable.
    pub mems: Option<CpuSet>,
}

/// The start of one service, from the driver's call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartUp {
    /// The service.
    pub service: Name,
    /// Until its process exists, ns.
    pub process_ns: u64,
    /// Until the first byte of its output, or of its guest's console, ns; `None`: it was silent until READY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_output_ns: Option<u64>,
    /// Until its first correct reply, ns; of a service that listens nowhere, until it was started.
    pub first_reply_ns: u64,
}

/// The body of FAILED.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Where it broke.
    pub stage: Stage,
    /// What broke, with the remedy where there is one.
    pub why: String,
    /// The last lines of each service's output.
    pub logs: Vec<LogTail>,
    /// What the teardown found.
    pub teardown: Teardown,
}

/// Where an attempt broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Making the image.
    Prepare,
    /// Starting the services.
    Start,
    /// Waiting for the first correct replies.
    Ready,
    /// Filling the services.
    Seed,
    /// A service ended by itself after READY.
    Running,
    /// Of a loader: firing its part of the load.
    Load,
    /// The controller was silent for longer than the lease.
    Lease,
    /// The runner does not know the attempt: it never got the RUN, or it died in between and has cleaned up.
    Unknown,
    /// The attempt was stopped before it was READY.
    Stopped,
}

impl Stage {
    /// The word for it in records and on the screen.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Start => "start",
            Self::Ready => "ready",
            Self::Seed => "seed",
            Self::Running => "running",
            Self::Load => "load",
            Self::Lease => "lease",
            Self::Unknown => "unknown",
            Self::Stopped => "stopped",
        }
    }
}

/// The end of a service's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTail {
    /// The service.
    pub service: Name,
    /// At most the last 4 KiB, lossy UTF-8.
    pub text: String,
}
