//! Guests: one process of QEMU, or of another hypervisor that a description chooses, a service.
//!
//! ```text
//! description (guest)  ─┐
//! service, place       ─┼─ plan ──> VmSpec ── args ──> QEMU's command line
//! image, acceleration  ─┘                                │
//!                        monitor (QMP)  <────────────────┤ connects to two sockets of ours
//!                        console (bounded, watched)  <───┘
//! ```
//! * [`args`] is pure. [`Qemu`] is the driver, [`QemuRunning`] a deployment; one guest is a `Vm`.
//! * Acceleration is proven by a guest that comes up, and confirmed by the monitor for every guest.
//! * How a guest ended ([`End`]) is told from QEMU's status, the monitor's events and the console together: QEMU's exit code alone is 0 for
//!   almost everything.
//! * [`micro`] has the arguments of the other hypervisors that a description can choose; they have no monitor, their console is their output.

pub mod args;
pub mod console;
mod driver;
mod end;
mod image;
pub mod micro;
mod own;
mod plan;
mod prepare;
mod probe;
mod proof;
pub mod qmp;
mod rest;
mod running;
mod share;
mod socket;
mod ssh;
mod vm;

pub use driver::Qemu;
pub use end::End;
pub use rest::GuestMeter;
pub use running::QemuRunning;
