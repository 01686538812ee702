//! Guests: one process of QEMU, Cloud Hypervisor or Firecracker per service.
//!
//! ```text
//! description (guest)     ─┐
//! service, network config ─┼─ plan ──> VmSpec ── qemu | micro ──> command line of the hypervisor
//! image, acceleration     ─┘                                        │
//!                           monitor (QMP, QEMU only)  <─────────────┤
//!                           console (bounded, searched)  <──────────┘
//! ```
//! * `driver` holds [`GuestDriver`]. `probe` checks the host; `prepare` makes what is not part of the timed start; `kvm` verifies the acceleration with a guest
//!   that boots, and QEMU's monitor confirms it for every guest.
//! * [`qemu`] and [`micro`] turn a [`spec::VmSpec`] into a command line. They are pure.
//! * `vm` runs one guest. `evidence` determines how it ended from the hypervisor's exit status, the monitor's events and the console together, because QEMU's exit
//!   code is 0 for almost everything.
//! * `files`, `image`, `ssh` and `virtiofsd` provide what a guest boots from and shares with the host; `osv_api` reads the figures of OSv guests.

pub mod console;
mod context;
mod described;
mod driver;
mod evidence;
mod files;
mod image;
mod kvm;
pub mod micro;
mod osv_api;
mod plan;
mod prepare;
mod prepared;
mod probe;
pub mod qemu;
pub mod qmp;
pub mod spec;
mod ssh;
mod virtiofsd;
mod vm;

pub use driver::GuestDriver;
