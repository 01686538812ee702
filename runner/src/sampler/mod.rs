//! The sampler: raw counters of everything that runs, on an absolute monotonic grid that begins at READY.
//!
//! ```text
//! thread   a round at every tick; batches; missed ticks; its own CPU      grid, pace, priority
//!  └ round   cgroups, then processes, then everything else                 target
//!     ├ process ─ threads   ticks, ns, memory, switches, faults; QEMU's threads by what they do
//!     └ system   cgroup   of each service, versions 1 and 2
//!                rest     all processes that nobody else sums
//!                host     /proc/stat, meminfo, pressure; interfaces; energy
//! parse   the texts, as pure functions     kept, source   files that stay open     notes   what could not be read
//! keep    the samples as a file of this host
//! ```
//!
//! What is cheap and moves fast (CPU, resident memory) is read at every tick; everything else at most once a second and for at most 1/500 of a
//! CPU; page tables are walked at READY and at STOP only. A process that vanished is a value, not an error.

pub mod cgroup;
pub mod grid;
pub mod host;
pub mod keep;
pub mod kept;
pub mod notes;
pub mod pace;
pub mod parse;
pub mod priority;
pub mod process;
pub mod rest;
pub mod round;
pub mod source;
pub mod system;
pub mod target;
pub mod thread;
pub mod threads;

pub use priority::Priority;
pub use target::{Guest, Part, Service, Targets};
pub use thread::{Inlet, Sampled, Sampler};
