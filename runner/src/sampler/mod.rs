//! The sampler: raw counters of every process of every service, on an absolute monotonic grid that begins at READY.
//!
//! * [`parse`] — the texts of `/proc`, as pure functions.
//! * [`kept`] — a file of `/proc` that stays open and is read in place.
//! * [`process`] — one process and its threads; a process that vanished is a value.
//! * [`round`] — one round over all services.
//! * [`thread`] — the thread that makes a round at every tick.

pub mod kept;
pub mod parse;
pub mod process;
pub mod round;
pub mod thread;

pub use round::Targets;
pub use thread::{Sampled, Sampler};
