//! What a loader is told: a part of a load, and when it begins.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::command::TrialRef;

/// The body of PREPARE: a part of the load of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// Which trial this is, for logs.
    pub trial: TrialRef,
    /// The whole load.
    pub load: LoadSpec,
    /// Which part of it is this loader's.
    pub part: PartSpec,
    /// What is under load.
    pub target: TargetSpec,
    /// Where it answers.
    pub address: SocketAddr,
    /// The seed of what is random; the same for all loaders, so that their parts are parts of one load.
    pub seed: u64,
    /// CPUs to pin the threads to, a thread on each, unless the loader was told its own; empty: one thread that is not pinned.
    pub cpus: Vec<u32>,
    /// Whether the threads never sleep, which needs CPUs of their own.
    pub spin: bool,
    /// Without a word of the controller the loader ends the load after this, ms.
    pub lease_ms: u64,
}

/// One of several equal parts: of requests, users or packets that are counted from 0, those whose number divided by `of` leaves `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartSpec {
    /// Which, from 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

/// A whole load, of the kinds that can be split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadSpec {
    /// Open loop at a constant rate.
    Rate(RateSpec),
    /// Closed loop of users.
    Users(UsersSpec),
    /// Closed loop as fast as so many connections go.
    Max(MaxSpec),
    /// A stream of packets.
    Udp(UdpSpec),
}

/// What every load has of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingSpec {
    /// Before the measured window, ns.
    pub warm_up_ns: u64,
    /// The measured window, ns.
    pub duration_ns: u64,
    /// After which a request has failed, ns.
    pub timeout_ns: u64,
}

/// Open loop at a constant rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateSpec {
    /// Requests a second, of all loaders together.
    pub rate_per_s: f64,
    /// How long.
    pub timing: TimingSpec,
    /// `true`: exponentially distributed distances; `false`: equal ones.
    pub poisson: bool,
    /// Whether connections stay open.
    pub keep_alive: bool,
}

/// Closed loop of users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersSpec {
    /// How many, of all loaders together.
    pub users: u32,
    /// How long.
    pub timing: TimingSpec,
    /// Calls of each user, warm-up included; `None`: as many as fit into the window.
    pub requests: Option<u32>,
    /// The first of them, which are not measured.
    pub warm_up_requests: u32,
    /// The pause between a reply and the next call, ns; its mean if it is random.
    pub think_ns: u64,
    /// Whether the pause is exponentially distributed.
    pub exponential: bool,
    /// The users begin spread over this time, ns.
    pub ramp_up_ns: u64,
    /// Whether connections stay open.
    pub keep_alive: bool,
    /// What they ask for.
    pub mix: Vec<MixSpec>,
}

/// A part of what users ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixSpec {
    /// Path and query.
    pub path: String,
    /// What it is called in results.
    pub label: String,
    /// How often it comes, relative to the other parts.
    pub share: u32,
}

/// Closed loop as fast as it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxSpec {
    /// Connections, of all loaders together.
    pub connections: u32,
    /// How long.
    pub timing: TimingSpec,
    /// Whether connections stay open.
    pub keep_alive: bool,
}

/// A stream of packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpSpec {
    /// How many are measured, of all loaders together.
    pub packets: u64,
    /// The length of each, bytes.
    pub size: u32,
    /// The distance of two packets of the whole stream, ns.
    pub pace_ns: u64,
    /// Packets under way at most, of all loaders together; `None`: an open loop.
    pub window: Option<u32>,
    /// How long.
    pub timing: TimingSpec,
}

/// What is under load, as far as it decides what is asked and which reply is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetSpec {
    /// A service that answers with letters A.
    Letters(LettersSpec),
    /// A service that answers with what it was sent.
    Echo(EchoSpec),
    /// The API gateway of Fraga's IoT benchmark.
    Jung(JungSpec),
}

/// A service that answers with letters A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LettersSpec {
    /// How many.
    pub count: u64,
}

/// A service that answers with what it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EchoSpec {}

/// The API gateway of Fraga's IoT benchmark: what its users ask for follows from the seed and this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JungSpec {
    /// Devices of each user.
    pub devices: u32,
    /// `GET user` on the list of each user.
    pub get_user: u32,
    /// `GET device` on it.
    pub get_device: u32,
    /// `GET readings` on it.
    pub get_readings: u32,
    /// `POST command` on it.
    pub post_command: u32,
}

/// The body of START.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// When the load begins, on the same scale as the loader's [`crate::event::Pong::clock_ns`].
    pub clock_ns: u64,
}
