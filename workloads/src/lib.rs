//! The benchmarked services, one module each, with nothing of the harness in them.
//!
//! Every service is an event loop without an async runtime, so that it is small, starts at once and
//! also runs inside a unikernel: no `std::thread::sleep`, no `fork`, no listener that needs IPv6.
//! The binary `workload` picks one by its sub-command; the modules are a library so that tests can
//! run a service inside their own process.

pub mod cli;
pub mod exit;
#[cfg(feature = "dataset")]
pub mod jung;
pub mod limits;
pub mod listen;
pub mod shutdown;
pub mod tcp;
pub mod udp;
