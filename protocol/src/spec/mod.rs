//! The content of a RUN: the platform, the services and what surrounds them, resource limits, sampling and deadlines.

mod cpu_set;
mod limits;
mod platform;
mod service;

pub use cpu_set::{CpuSet, InvalidCpuSet};
pub use limits::{Deadlines, Resources, Sampling};
pub use platform::*;
pub use service::*;
