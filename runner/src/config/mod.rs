//! `runner.toml`: from a file, the environment and the command line to a checked [`Config`].
//!
//! * [`raw`] — what is written, layer over layer: file, then `JUNG_RUNNER__KEY` in the environment, then flags.
//! * [`check`] — what it means; every problem at once.
//! * [`problem`] — a problem, with its place and remedy.
//! * [`defaults`] — what holds where nothing is written.

pub mod check;
pub mod defaults;
pub mod problem;
pub mod raw;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;

use protocol::Name;
use protocol::bus::BusConfig;
use protocol::spec::CpuSet;

use crate::execute::Programs;

pub use problem::Problem;
pub use raw::{Flags, RawConfig};

/// What a runner is told, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host's name towards controllers.
    pub name: Name,
    /// The address by which controllers reach this host.
    pub address: IpAddr,
    /// How to reach Kafka.
    pub bus: BusConfig,
    /// Where the ledger, logs and images are.
    pub state: PathBuf,
    /// The static workload program.
    pub workload: PathBuf,
    /// The programs that services may need beside them.
    pub programs: Programs,
    /// The CPUs that the runner itself keeps to; `None`: wherever it is put.
    pub cpus: Option<CpuSet>,
    /// How the sampler's thread is scheduled.
    pub sampler: crate::sampler::Priority,
    /// What is logged, as `tracing-subscriber` filters are written.
    pub log: String,
}
