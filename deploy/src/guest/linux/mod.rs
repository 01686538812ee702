//! Linux guests, of two kinds.
//!
//! A **disk** with a distribution gets the service by cloud-init: [`seed`] is what cloud-init reads, on a [`fat`] disk.
//!
//! A **kernel with an initramfs** and `guest-init` of this repository as the first process is the smallest Linux that can serve. A distribution's kernel has its
//! virtio drivers as modules, so before a service can run something must load them, configure the interface and handle the power button. `guest-init` does only
//! that, so the `workload` need not.

pub mod fat;
pub mod initramfs;
pub mod modules;
pub mod seed;
