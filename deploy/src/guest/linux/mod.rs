//! Linux as a guest: kernel and initramfs, with the `guest-init` of this repository as its first process.
//!
//! The distribution's kernel has its virtio drivers as modules, so something must load them, give the address to the interface and obey the power
//! button before a service can run. `guest-init` does that and nothing else; the `workload` stays free of it.

pub mod initramfs;
pub mod modules;
