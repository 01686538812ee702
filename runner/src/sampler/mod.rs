//! The sampler: raw counters of everything that runs, on an absolute monotonic grid that begins at READY.
//!
//! ```text
//! thread   a round at every tick, and at the window's edges; batches; missed ticks; its own CPU      grid, pace, priority
//!  └ round   cgroups, then processes, then everything else                 target
//!     ├ process ─ threads   ticks, ns, memory, switches, faults; QEMU's threads by what they do
//!     └ system   cgroup   of each service, versions 1 and 2
//!                rest     all processes that nobody else sums
//!                host     /proc/stat, meminfo, pressure; interfaces; energy
//! parse   the texts, as pure functions     kept, files, source   files that stay open     notes   what could not be read
//! keep    the samples as a file of this host
//! ```
//!
//! Three depths. What is cheap and moves fast (CPU, resident memory) is read at every tick. All other counters are read at READY and STOP, where the
//! controller says that the measured window begins and ends, and between them at most once a second and for at most 1/1000 of a CPU. Page tables
//! are walked at those four moments only. A process that vanished is a value, not an error.

pub mod cgroup;
pub mod files;
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
