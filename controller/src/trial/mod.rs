//! One attempt at one trial: what is asked of the runner, the conversation, the load, and what is written down.
//!
//! * [`order`] — what is asked of the runner and of the load engine, pure;
//! * [`drive`] — the conversation driven to its end, with the load in between;
//! * `edges` — when the measured window begins and ends, told to the runner;
//! * [`record`] — what came of it as the record that is stored.

pub mod drive;
mod edges;
pub mod load;
pub mod order;
pub mod record;
mod samples;
pub mod workload;
