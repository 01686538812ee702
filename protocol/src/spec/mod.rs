//! The content of a RUN: the platform, the services and what surrounds them, resource limits, sampling and deadlines.

mod cpu_set;
mod description;
mod limits;
mod names;
mod platform;
mod probe;
mod service;
mod template;

pub use cpu_set::{CpuSet, InvalidCpuSet};
pub use description::*;
pub use limits::{Deadlines, Resources, Sampling};
pub use names::*;
pub use platform::*;
pub use probe::*;
pub use service::*;
pub use template::*;
