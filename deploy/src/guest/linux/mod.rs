//! Linux as a guest, of two kinds.
//!
//! A **disk** with a whole distribution is told by cloud-init what to run: [`seed`] is what it reads, on a [`fat`] disk.
//!
//! **Kernel and initramfs**, with the `guest-init` of this repository as the first process, is the smallest Linux that serves.
//! The distribution's kernel has its virtio drivers as modules, so something must load them, give the address to the interface and obey the power
//! button before a service can run. `guest-init` does that and nothing else; the `workload` stays free of it.

pub mod fat;
pub mod initramfs;
pub mod modules;
pub mod seed;
