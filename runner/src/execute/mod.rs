//! One task per attempt: prepare, start, wait for READY, sample, stop.
//!
//! * [`Attempt`]: from the wait for the host to the verified teardown.
//! * `bring_up`: its first part, from ACCEPTED to seeded services that reply; `measure`: from READY to the end of sampling.
//! * `plan`: what is deployed where and in which order, with the broker that the services use.
//! * `deployments`: everything of an attempt that runs; `placement`: on which CPUs it runs.
//! * `outcome`: how an attempt ended, as an event.

mod attempt;
mod bring_up;
mod deployments;
mod measure;
mod outcome;
mod placement;
mod plan;

pub use attempt::{Attempt, AttemptHandle, Context};
pub use outcome::failed;
pub use plan::Programs;
