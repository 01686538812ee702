//! The daemon as a process of its own, with a real broker and the fake and native drivers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attempts;
mod bad_input;
mod broker_restart;
mod failures;
mod lab;
mod sampling;
mod surroundings;
