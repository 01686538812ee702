//! The sampler: raw counters of everything that runs, on an absolute monotonic grid that starts at READY.
//!
//! ```text
//! thread   a round at every tick and at the edges of the window; batches; missed ticks; its own CPU    grid, full_reads, priority
//!  └ round   cgroups, then processes, then everything else                 targets
//!     ├ process ─ threads   ticks, ns, memory, switches, faults; QEMU's threads by role
//!     └ system   cgroup            of each service, versions 1 and 2
//!                other_processes   all processes that are not sampled one by one
//!                host              /proc/stat, meminfo, pressure; interfaces; energy
//! parse   the file formats, as pure functions     reader, open_file   files that stay open     notes   what could not be read
//! totals  the SUMMARY                             sample_log          a copy of the samples on this host
//! ```
//!
//! There are three depths. What is cheap and changes fast (CPU time, resident memory) is read at every tick. All other counters are read at READY,
//! at STOP and at the edges of the measurement window, and in between at most once a second and for at most 1/1000 of a CPU. Page tables are walked
//! at those four moments only. A process that vanished is a value, not an error.
//!
//! Every round lists the processes of a service itself ([`deploy::Processes`]), so a process is in the first round after its birth.

pub mod cgroup;
pub mod full_reads;
pub mod grid;
pub mod host;
pub mod notes;
pub mod open_file;
pub mod other_processes;
pub mod parse;
pub mod priority;
pub mod process;
pub mod reader;
pub mod round;
pub mod sample_log;
pub mod system;
pub mod targets;
pub mod thread;
pub mod threads;
pub mod totals;

pub use deploy::PlatformProcess;
pub use priority::Priority;
pub use targets::{Service, Targets};
pub use thread::{ExternalSamples, Sampler, SamplerConfig};
pub use totals::Sampled;
