//! Guests as data: OSv, IncludeOS, Linux and any other guest differ in their description, not in code.
//!
//! A description is a TOML file of the runner's host, `<state>/guests/<name>.toml`. It says what the hypervisor boots, with which arguments, and which
//! console lines show that the guest is up, has panicked, or that its service has exited. With `preset = "osv"`, `"includeos"`, `"linux"` or `"cloud"` it
//! only has to add what depends on the host, such as the path of a kernel. Presets are such files too (`deploy/osv/guest.toml` and others).
//!
//! [`RawGuest`] is the file's contents, and [`Guest::parse`] turns it into a [`Guest`] or lists every problem. [`template`] fills in addresses; [`osv`]
//! and [`linux`] write images; [`multiboot`] wraps kernels for QEMU.

mod check;
mod description;
pub mod directory;
mod end;
pub mod linux;
pub mod multiboot;
pub mod osv;
mod raw;
pub mod template;
pub mod tree;
mod vmm;

pub(crate) use check::ROOT;
pub use description::{
    CloudImage, CloudStart, Disk, DiskFormat, Guest, Image, InitramfsImage, Machine, Nic, RofsImage, Share, Stop,
    VirtiofsImage,
};
pub use end::GuestEnd;
pub use raw::{RawDisk, RawGuest, RawKeys, RawShare};
pub use vmm::Vmm;
