//! PREPARE and START: the part of a load that a loader generates, and when it begins.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::spec::LoadSpec;
use crate::command::TrialRef;

/// The body of PREPARE: a part of the load of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// The trial, for logs.
    pub trial: TrialRef,
    /// The whole load; a loader with CPUs of its own uses those instead of the load's.
    pub load: LoadSpec,
    /// The part that this loader generates.
    pub part: PartSpec,
    /// The service under load.
    pub target: TargetSpec,
    /// Its address.
    pub address: SocketAddr,
    /// Random seed; the same for all loaders, so that their parts form one load.
    pub seed: u64,
    /// Lease: the loader ends the load after this time without a command, ms.
    pub lease_ms: u64,
}

/// One of several equal parts: the requests, users or packets whose number modulo `of` is `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartSpec {
    /// Index of this part, from 0.
    pub index: u32,
    /// Number of parts.
    pub of: u32,
}

/// The service under load: determines the requests and the expected replies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetSpec {
    /// A service that replies with letters `A`.
    Letters(LettersSpec),
    /// A service that echoes.
    Echo(EchoSpec),
    /// The API gateway of Fraga's IoT benchmark.
    Jung(JungSpec),
    /// A described service: any reply will do.
    Described(DescribedSpec),
}

/// A described service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedSpec {}

/// A service that replies with letters `A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LettersSpec {
    /// Number of letters.
    pub count: u64,
}

/// A service that echoes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EchoSpec {}

/// The API gateway of Fraga's IoT benchmark. The seed and this determine the requests of each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JungSpec {
    /// Devices of each user.
    pub devices: u32,
    /// Requests of each user by endpoint.
    pub mix: JungMix,
}

/// Requests of each user of Fraga's IoT benchmark, by endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JungMix {
    /// `GET /users/<u>`
    pub get_user: u32,
    /// `GET /users/<u>/devices/<d>`
    pub get_device: u32,
    /// `GET .../readings`
    pub get_readings: u32,
    /// `POST .../commands`
    pub post_command: u32,
}

impl JungMix {
    /// Table 2 of the thesis: 500 requests per user.
    pub const TABLE_2: Self = Self {
        get_user: 25,
        get_device: 25,
        get_readings: 225,
        post_command: 225,
    };

    /// Requests per user.
    #[must_use]
    pub const fn total(self) -> u32 {
        self.get_user + self.get_device + self.get_readings + self.post_command
    }
}

/// The body of START.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// When the load begins, on the same scale as the loader's [`crate::event::Pong::clock_ns`].
    pub clock_ns: u64,
}
