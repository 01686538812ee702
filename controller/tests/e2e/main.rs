//! Complete experiments with the real programs: `controller`, `runner`, `broker` and `workload` as separate processes.
//!
//! * [`lab`] — a directory, ports and names, and the programs in it; [`process`] — one program, stopped with the test;
//! * [`experiment`] — a small experiment file; [`agree`] — checks that all counts in the results agree;
//! * [`guest_lab`] — guests and their leftovers; [`kernel`] — guests of a few instructions, [`echo`] — of some hundred.
//!
//! The other programs are expected next to the controller: `cargo build --workspace` builds them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agree;
mod bad_host;
mod bad_input;
mod bad_load;
mod broker_dies;
mod docker;
mod docker_breaks;
#[path = "../../../deploy/tests/guests/echo.rs"]
mod echo;
/// Runs of which no figure is compared. Each guest uses one core, so `test.sh` runs two of these tests at a time.
#[path = "."]
mod emulated {
    mod guest_breaks;
    mod guests;
    mod hermit;
    mod includeos;
    mod osv;
    mod osv_built;
    mod osv_image;
}
mod experiment;
mod guest_lab;
mod http;
mod jung;
mod kafka;
#[path = "../../../deploy/tests/guests/kernel.rs"]
mod kernel;
mod lab;
mod load_programs;
mod loaders;
mod namespaces;
mod packets;
mod report;
mod required;
mod resume;
mod runtimes;
mod services;
mod shipped;
mod sums;
mod tasks;
mod whole;
#[path = "../../../deploy/tests/guests/whole_image.rs"]
mod whole_image;
mod with_kvm;
