//! The daemon as a process of its own, with a real broker and the fake and native drivers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bad_input;
mod breakage;
mod broker_restart;
mod conversation;
mod lab;
mod sampling;
mod surroundings;
