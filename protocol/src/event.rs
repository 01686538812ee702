//! Events: messages of a runner or loader to a controller.

use serde::{Deserialize, Serialize};

use crate::facts::{HostFacts, ServiceRecord};
use crate::ids::Name;
use crate::load::{Chunk, Fired, MachineFacts, Prepared, Progress};
use crate::sample::Samples;
use crate::spec::{CpuSet, Emulation};
use crate::summary::{HostUsage, Summary, Teardown};

/// An event. On the wire `{"READY": {...}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Event {
    /// A runner's reply to DESCRIBE.
    Facts(Box<HostFacts>),
    /// A loader's reply to DESCRIBE.
    Loader(Box<MachineFacts>),
    /// The reply to PING.
    Pong(Pong),
    /// The RUN is accepted.
    Accepted(Accepted),
    /// The command is refused.
    Refused(Refused),
    /// Every service gave its first correct reply.
    Ready(Ready),
    /// From a loader: the load is prepared and waits for START.
    Prepared(Prepared),
    /// From a loader: progress of the load.
    Progress(Progress),
    /// From a loader: a piece of the results, on the third topic.
    Chunk(Chunk),
    /// From a loader: the load has finished, with its results.
    Fired(Box<Fired>),
    /// A batch of samples, on the third topic.
    Samples(Samples),
    /// An attempt that was READY has ended, including its teardown.
    Summary(Summary),
    /// An attempt has failed, before or after READY; its teardown is complete.
    Failed(Failed),
}

impl Event {
    /// Its name on the wire and in logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
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
    /// The runner's monotonic clock at the reply, ns since an arbitrary start.
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
    /// The category.
    pub reason: RefusedReason,
    /// The reason as text, with the remedy.
    pub why: String,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedReason {
    /// Another attempt of the same controller is running.
    Busy,
    /// Another controller holds the lease of this daemon.
    Held,
    /// A newer epoch of the same controller has been seen.
    Stale,
    /// A requirement of the platform is not met.
    Unmet,
    /// The command is invalid (no service, duplicate names, ...).
    Invalid,
}

/// The body of READY.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// The runner's monotonic clock at READY, on the same scale as [`Pong::clock_ns`]: the origin of all sample offsets.
    pub clock_ns: u64,
    /// The address of each service that listens.
    pub endpoints: Vec<Endpoint>,
    /// The start-up time of each service.
    pub startup: Vec<StartUp>,
    /// Image preparation time, ns; not part of the start-up time.
    pub prepare_ns: u64,
    /// Seeding time, ns; not part of the start-up time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_ns: Option<u64>,
    /// Whole-host usage before any service was started; `None`: not requested, or not readable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleWindow>,
    /// The effective CPU and memory placement of each service, read back from the kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement: Vec<Placement>,
    /// Deviations from the resource contract, as text; empty: none.
    pub deviations: Vec<String>,
    /// `Some`: guests were emulated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulation: Option<Emulation>,
    /// What the described services are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceRecord>,
}

/// The address to which load is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The service.
    pub service: Name,
    /// Its address as reachable by the controller.
    pub address: std::net::SocketAddr,
}

/// Whole-host usage between two readings just before the services were started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdleWindow {
    /// Time between the readings, ns.
    pub length_ns: u64,
    /// The host's CPU usage in between.
    pub host: HostUsage,
}

/// The placement of a service after its start: the union over its processes (`Cpus_allowed_list` and `Mems_allowed_list` of `/proc/PID/status`).
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

/// The start-up of one service, measured from the driver's call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartUp {
    /// The service.
    pub service: Name,
    /// Until its process exists, ns.
    pub process_ns: u64,
    /// Until the first byte of its output or of its guest's console, ns; `None`: no output before READY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_output_ns: Option<u64>,
    /// Until its first correct reply, ns; for a service without a port, until it was started.
    pub first_reply_ns: u64,
}

/// The body of FAILED.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// The stage at which it failed.
    pub stage: Stage,
    /// The cause, with the remedy if there is one.
    pub why: String,
    /// The last lines of each service's output.
    pub logs: Vec<LogTail>,
    /// The result of the teardown.
    pub teardown: Teardown,
}

/// The stage at which an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Image preparation.
    Prepare,
    /// Starting the services.
    Start,
    /// Waiting for the first correct replies.
    Ready,
    /// Seeding the services.
    Seed,
    /// A service exited after READY.
    Running,
    /// A loader's part of the load.
    Load,
    /// The controller's lease expired.
    Lease,
    /// The daemon does not know the attempt: it never received the command, or it has been restarted since.
    Unknown,
    /// The attempt was stopped before it was READY.
    Stopped,
}

impl Stage {
    /// Its name in records and on the screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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

/// The last part of a service's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTail {
    /// The service.
    pub service: Name,
    /// At most the last 4 KiB, lossy UTF-8.
    pub text: String,
}
