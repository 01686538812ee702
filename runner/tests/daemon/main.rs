//! The daemon as a process of its own, over a real broker, with the fake and native drivers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bad_input;
mod breakage;
mod broker_restart;
mod conversation;
mod lab;
mod sampling;
mod surroundings;
