//! What a loader is told: a part of a load, and when it begins.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::spec::LoadSpec;
use crate::command::TrialRef;

/// The body of PREPARE: a part of the load of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// Which trial this is, for logs.
    pub trial: TrialRef,
    /// The whole load; a loader that was started with CPUs of its own fires from those.
    pub load: LoadSpec,
    /// Which part of it is this loader's.
    pub part: PartSpec,
    /// What is under load.
    pub target: TargetSpec,
    /// Where it answers.
    pub address: SocketAddr,
    /// The seed of what is random; the same for all loaders, so that their parts are parts of one load.
    pub seed: u64,
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
    /// How many requests of each sort a user sends.
    pub mix: JungMix,
}

/// How many requests of each sort a user of Fraga's IoT benchmark sends.
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
    /// Table 2 of the thesis: 500 requests a user.
    pub const TABLE_2: Self = Self {
        get_user: 25,
        get_device: 25,
        get_readings: 225,
        post_command: 225,
    };

    /// How many requests each user has on its list.
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
