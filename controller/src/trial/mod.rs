//! One attempt at one trial: its specification, the conversation with the runner, the load, and the stored record.
//!
//! * [`spec`] — the requests to runner and load engine, pure;
//! * [`state`] — the state machine of an attempt, pure;
//! * [`attempt`] — runs an attempt: state machine, bus, load;
//! * `edges` — announces the measurement window to the runner;
//! * [`record`] — the stored record.

pub mod attempt;
mod edges;
pub mod load;
pub mod record;
pub mod spec;
pub mod state;
pub mod workload;
