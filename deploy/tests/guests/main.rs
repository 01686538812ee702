//! Real guests under QEMU, emulated so that they run on any machine: kernels of a few instructions for every way to fail; Linux, OSv and IncludeOS for the rest.
//!
//! `deploy/linux/setup-qemu.sh` installs QEMU; `deploy/linux/kernel.sh CACHE` downloads the kernel, and `JUNG_GUEST_CACHE` names CACHE.
//! `JUNG_OSV_KERNEL` names an OSv kernel, `JUNG_OSV_LOADER_IMG` the `loader.img` of OSv's build, `JUNG_OSV_IMAGES` a directory of images of that build, and
//! `JUNG_INCLUDEOS_IMAGE` an image of IncludeOS; without them, skip `osv::`, `osv_image::`, `osv_built::` or `includeos::`.
//! `JUNG_HERMIT_LOADER` and `JUNG_HERMIT_IMAGE` name the two files for `hermit::` (`deploy/hermit`).
//! `JUNG_CLOUD_HYPERVISOR` and `JUNG_FIRECRACKER` name those programs; their tests and `with_kvm::` need a KVM that runs guests, possibly by interpretation.
//! `deploy/build-workload.sh` and `deploy/linux/build-init.sh` build what runs in the guests.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cloud_hypervisor;
mod echo;
/// Each guest uses one core, so `test.sh` runs two of these tests at a time.
#[path = "."]
mod emulated {
    mod acceleration;
    mod cloud;
    mod ends;
    mod hermit;
    mod includeos;
    mod linux;
    mod osv;
    mod osv_built;
    mod osv_image;
    mod refusals;
    mod shares;
    mod up;
}
mod firecracker;
mod kernel;
mod lab;
#[path = "../services/mod.rs"]
mod services;
mod whole_image;
mod with_kvm;
