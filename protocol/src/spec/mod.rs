//! What a RUN asks for.
//!
//! ```text
//! platform   where services run
//! service    what they are, and what counts as their first correct reply
//! limits     what they get, how they are sampled, how long phases may take       cpus   lists of CPUs
//! ```

mod cpus;
mod limits;
mod platform;
mod service;

pub use cpus::{BadCpuSet, CpuSet};
pub use limits::{Deadlines, Resources, Sampling};
pub use platform::*;
pub use service::*;
