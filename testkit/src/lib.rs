//! What tests of several crates need. It panics where a test would: a need that is not met is a failed test.
//!
//! * [`port`] — ports that no other test and no outgoing connection gets.
//! * [`wait`] — conditions instead of sleeps.
//! * [`process`] — a program beside the test: its output, signals, exit code.
//! * [`bus`] — this project's broker in the test's own process.
//! * [`service`] — a small web service in Perl.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod bus;
pub mod port;
pub mod process;
pub mod service;
pub mod wait;

pub use port::free_port;

use protocol::{AttemptId, Name};

/// A name; panics if it is not valid.
#[must_use]
#[track_caller]
pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A name that no other test has: `test-<uuid>`.
#[must_use]
pub fn unique_name() -> Name {
    name(&format!("test-{}", AttemptId::fresh()))
}
